"""Options: their defaults, their places, and what is said of a file that cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from karbor import config
from karbor.domain.errors import BadInput


def test_every_option_has_a_default_and_a_reason() -> None:
    conf = config.load([])
    for group in (*config._GROUPS, *config.SERVICES):
        for name, info in conf._groups[group]._opts.items():
            assert info["opt"].help, f"[{group}] {name}"
    assert [(conf.limits[f"provider_{one}"], conf.limits[f"project_{one}"])
            for one in config.LIMITED] == [(16, 4), (4, 2), (8, 2)]
    assert (conf.schedule.min_interval, conf.schedule.min_window_time,
            conf.schedule.max_window_time) == (3600, 900, 1800)
    assert conf.credentials.allow_expired_window == 172800
    assert not config.service_user_configured(conf)


def test_state_is_kept_in_the_users_data_directory(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    conf = config.load([])
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert config.state_path(conf) == tmp_path / "data" / "karbor"
    assert config.key_file(conf) == tmp_path / "data" / "karbor" / "seal.key"
    assert config.bank_path(conf) == tmp_path / "data" / "karbor" / "bank"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config.state_path(conf) == tmp_path / ".local" / "share" / "karbor"


def test_a_file_of_the_user_is_found_and_one_that_is_named_counts_alone(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KARBOR_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "karbor").mkdir()
    (tmp_path / "karbor" / "karbor.conf").write_text("[limits]\nworkers = 3\n")
    assert config.load().limits.workers == 3
    other = tmp_path / "other.conf"
    other.write_text("[limits]\ncarriers = 1\n[cinder]\nregion_name = R2\n"
                     "[fs_bank]\npath = /srv/bank\n[credentials]\nkey_file = /etc/k\n")
    monkeypatch.setenv("KARBOR_CONFIG", str(other))
    conf = config.load()
    assert (conf.limits.workers, conf.limits.carriers, conf.cinder.region_name) == (8, 1, "R2")
    assert (config.bank_path(conf), config.key_file(conf)) == (Path("/srv/bank"), Path("/etc/k"))


def test_two_configurations_live_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "one.conf"
    file.write_text("[limits]\nworkers = 3\n")
    assert (config.load([file]).limits.workers, config.load([]).limits.workers) == (3, 8)


@pytest.mark.parametrize(("text", "said"), [
    ("workers = 3\n", "cannot be read"),
    ("[limits]\nworkers\n", "cannot be read"),
])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "one.conf"
    file.write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        config.load([file])
    assert "\n" not in str(caught.value)


def test_a_service_user_that_would_be_passed_over_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "karbor.conf"
    file.write_text("[service_user]\nusername = karbor\npassword = p\n")
    with pytest.raises(BadInput, match=r"\[service_user\] in .*karbor.conf says no auth_type"):
        config.load([file])


def test_the_examples_of_the_documentation_can_be_copied(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "users" / "configuration.md"
    examples = re.findall(r"```ini\n(.*?)```", page.read_text(), re.S)
    assert len(examples) == 4
    for number, example in enumerate(examples):
        file = tmp_path / f"{number}.conf"
        file.write_text(example)
        conf = config.load([file])
        for section in ("limits", "cinder", "credentials", "kubernetes"):
            assert all("#" not in str(value) for value in conf[section].values())
        assert conf.service_user.auth_type in (None, "password")
        assert config.service_user_configured(conf) == ("[service_user]" in example)
        assert bool(conf.kubernetes.endpoint) == ("[kubernetes]" in example)
        own = "trustee" if "[trustee]" in example else "service_user"
        assert config.trustee_section(conf) == own


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        config.load([tmp_path / "nowhere.conf"])


def test_a_value_out_of_bounds_is_told_when_the_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "one.conf"
    file.write_text("[limits]\nworkers = none\n")
    with pytest.raises(BadInput, match=r"\[limits\] workers in the configuration is not "
                                        r"valid: invalid literal"):
        config.load([file])


def test_a_window_that_no_trigger_could_have_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.conf"
    file.write_text("[schedule]\nmin_window_time = 1801\n")
    with pytest.raises(BadInput, match=r"min_window_time .* is longer than max_window_time"):
        config.load([file])
