"""Which project a login is for: remembered as long as nothing has changed, and no secret in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from karbor.application.login_project_cache import LoginProjectCache


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "clouds.yaml"
    path.write_text("clouds: {}")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    return path


def test_what_is_remembered_counts_until_something_changes(
        clouds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "state" / "logins.json"
    logins = LoginProjectCache(file)
    assert logins.project_of("mine") is None
    logins.remember("mine", "p1")
    logins.remember("other", "p2")
    again = LoginProjectCache(file)
    assert (again.project_of("mine"), again.project_of("other")) == ("p1", "p2")
    assert again.project_of(None) is None
    assert file.stat().st_mode & 0o077 == 0

    monkeypatch.setenv("OS_PASSWORD", "hunter2")        # decides nothing about the project
    assert again.project_of("mine") == "p1"
    monkeypatch.setenv("OS_PROJECT_NAME", "elsewhere")
    assert again.project_of("mine") is None
    monkeypatch.delenv("OS_PROJECT_NAME")
    clouds.write_text("clouds: {mine: {}}")
    assert again.project_of("mine") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_spoilt_file_costs_a_login_and_no_more(clouds: Path, tmp_path: Path,
                                                 content: str) -> None:
    file = tmp_path / "logins.json"
    file.write_text(content)
    logins = LoginProjectCache(file)
    assert logins.project_of("mine") is None
    logins.remember("mine", "p1")
    assert logins.project_of("mine") == "p1"
