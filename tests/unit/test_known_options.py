"""What oslo.config's tools are told: the sample is the code's, and what is secret is called so."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from oslo_config import generator

from karbor import config, known_options

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / "etc" / "karbor" / "config-generator.conf"
SAMPLE = ROOT / "etc" / "karbor" / "karbor.conf.sample"


def test_the_sample_is_what_the_options_say(tmp_path: Path) -> None:
    """`make config-sample` writes it anew."""
    fresh = tmp_path / "karbor.conf.sample"
    generator.main(["--config-file", str(GENERATOR), "--output-file", str(fresh)])
    assert fresh.read_text() == SAMPLE.read_text()


def test_the_sample_as_it_is_changes_nothing() -> None:
    conf, plain = config.load([SAMPLE]), config.load([])
    for group, options in config.own_options().items():
        for one in options:
            found, usual = ((conf[one.dest], plain[one.dest]) if group == "DEFAULT"
                            else (conf[group][one.dest], plain[group][one.dest]))
            assert found == usual, f"[{group}] {one.dest}"


def test_the_tools_find_karbor_by_its_name() -> None:
    (entry,) = entry_points(group="oslo.config.opts", name="karbor")
    assert entry.load() is known_options.list_opts


def test_every_option_of_karbors_own_is_told() -> None:
    told = dict(known_options.list_opts())
    conf = config.options()
    for group in ("http", "limits", "credentials", "database", "fs_bank", *config.SERVICES):
        assert {one.dest for one in told[group]} == set(conf[group])
    assert {"state_path", "default_provider"} <= {one.dest for one in told["DEFAULT"]}
    assert {"auth_url", "username", "password"} <= {one.dest for one in told["service_user"]}


@pytest.mark.parametrize(("group", "name"), [
    ("database", "connection"), ("service_user", "password"), ("trustee", "password"),
    ("keystone_authtoken", "password"), ("keystone_authtoken", "memcache_secret_key")])
def test_secrets_are_called_so(group: str, name: str) -> None:
    option = known_options.known({}).option(group, name)
    assert option is not None
    assert option.secret


def test_what_the_libraries_have_is_known_too() -> None:
    found = known_options.known({"service_user": "v3applicationcredential"})
    assert found.option("DEFAULT", "log_file")
    assert found.option("oslo_policy", "policy_file")
    assert found.option("service_user", "application_credential_secret")
    assert found.option("service_user", "username") is not None
    assert found.option("keystone_authtoken", "username")
    assert "limits" in found.homes("workers")
