"""A user's clouds.yaml, a karbor.conf with [service_user], and a Keystone they lead to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from karbor import config
from tests.unit.credentials.wire import KEYSTONE, Clock, Keystone, Reply, Sent, Wire

CLOUDS = f"""
clouds:
  demo:
    region_name: RegionOne
    auth:
      auth_url: {KEYSTONE}
      username: demo
      password: secret-of-demo
      project_name: demo
      user_domain_name: Default
      project_domain_name: Default
  mistyped:
    auth:
      auth_url: {KEYSTONE}
      username: demo
      password: secret-mistyped
      project_name: demo
      user_domain_name: Default
      project_domain_name: Default
  incomplete:
    auth:
      username: demo
      password: secret-of-demo
  nobody:
    auth_type: none
    auth:
      endpoint: http://nowhere.test
"""

SERVICE_USER = f"""
[service_user]
auth_type = password
auth_url = {KEYSTONE}
username = karbor
password = secret-of-karbor
project_name = service
user_domain_name = Default
project_domain_name = Default
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keystone(clock: Clock) -> Keystone:
    return Keystone(clock)


@pytest.fixture
def wire(keystone: Keystone) -> Wire:
    """The network. Tests put what other services answer into `wire.answer`."""
    def answer(sent: Sent) -> Reply:
        return keystone.answer(sent) or Reply(404)
    return Wire(answer)


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], config.ConfigOpts]:
    """Options from the text of a file; state_path is the test's own."""
    def make(text: str = "") -> config.ConfigOpts:
        file = tmp_path / "karbor.conf"
        file.write_text(f"[DEFAULT]\nstate_path = {tmp_path / 'state'}\n{text}")
        return config.load([file])
    return make


@pytest.fixture(autouse=True)
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "clouds.yaml"
    file.write_text(CLOUDS)
    for name in ("OS_CLOUD", "KARBOR_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return file
