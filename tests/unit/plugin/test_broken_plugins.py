"""An installed entry point that cannot be imported takes nothing away but itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

KARBOR = Path(sys.executable).parent / "karbor"
WHY = "ModuleNotFoundError: No module named 'acme_gone' (acme_gone:Acme)"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A package `acme` is installed, whose module is gone."""
    package = tmp_path / "site" / "acme-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("".join(
        f"[karbor.{kind}s]\nacme-{kind} = acme_gone:Acme\n"
        for kind in ("bank", "protectable", "protection")))
    providers = tmp_path / "providers.d"
    providers.mkdir()
    noop, directory = "karbor-noop-protection-plugin", "karbor-fs-bank-plugin"
    for name, plugin, bank in (("good", noop, directory), ("bad", "acme-protection", directory),
                               ("worse", noop, "acme-bank")):
        (providers / f"{name}.conf").write_text(
            f"[provider]\nname = {name}\nid = {uuid.uuid4()}\nenabled = true\n"
            f"plugin = {plugin}\nbank = {bank}\n"
            f"[file_system_bank_plugin]\nfile_system_bank_path = {tmp_path / 'bank'}\n")
    (tmp_path / "karbor.conf").write_text(
        f"[DEFAULT]\nstate_path = {tmp_path / 'state'}\nprovider_config_dir = {providers}\n")
    return tmp_path


def karbor(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KARBOR, *words], capture_output=True, text=True, check=False, timeout=120, env={
            "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(home / "site"),
            "KARBOR_CONFIG": str(home / "karbor.conf")})


def test_a_provider_that_does_not_name_it_works(home: Path) -> None:
    done = karbor(home, "provider", "check", "good")
    assert done.returncode == 0, done
    assert "acme" not in done.stdout


@pytest.mark.parametrize(("provider", "plugin"), [("bad", "acme-protection"),
                                                  ("worse", "acme-bank")])
def test_it_is_named_where_it_is_asked_for(home: Path, provider: str, plugin: str) -> None:
    done = karbor(home, "provider", "check", provider)
    assert done.returncode != 0
    told = " ".join((done.stdout + done.stderr).split())
    assert (f"the installed plugin {plugin} of karbor.{plugin.removeprefix('acme-')}s cannot be "
            f"loaded: {WHY}") in told, done


def test_config_check_names_each(home: Path) -> None:
    done = karbor(home, "config", "check", "--format", "json")
    assert done.returncode == 1, done
    found: dict[str, Any] = {one["subject"]: one for one in json.loads(done.stdout)["findings"]
                             if one["check"] == "plugin"}
    assert {name: one["verdict"] for name, one in found.items()} == {
        "acme-bank": "warning", "acme-protection": "warning", "acme-protectable": "broken"}
    assert all(WHY in one["seen"] for one in found.values())
    assert "nothing is protected until" in found["acme-protectable"]["means"]


OBSTACLES = """
from karbor.domain.resource import VOLUME, Resource, ResourceGraph
from karbor.operations import protect
from karbor.operations.execution_context import Provider
from karbor.plugin import registry
from karbor.protections.noop import Noop
one = Resource(VOLUME, "1", "one")
print(len(registry.protectables()))
provider = Provider("p", "p", None, {VOLUME: Noop()})
for obstacle in protect.obstacles(ResourceGraph.build([one], lambda level: {}), provider, None):
    print(obstacle)
"""


def test_nothing_is_protected_while_something_could_not_be_found(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OBSTACLES], capture_output=True, text=True, check=True, timeout=120,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(home / "site")})
    count, *lines = done.stdout.splitlines()
    assert int(count) >= 8
    assert len(lines) == 1
    assert f"the protectable acme-protectable cannot be loaded ({WHY})" in lines[0]


SHELF = """
import json
from karbor import config
from karbor.providers.schemas import EnabledProviders
from karbor.application.service_context import ServiceContext
providers = EnabledProviders(ServiceContext(config.load(), None).providers)
print(json.dumps({one.name: sorted(one.schemas["options"]) for one in providers.all()}))
"""


def test_providers_that_name_it_are_listed_with_the_others_by_the_api(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHELF], capture_output=True, text=True, check=True, timeout=120,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(home / "site"), "HOME": str(home),
             "KARBOR_CONFIG": str(home / "karbor.conf")})
    found = json.loads(done.stdout)
    assert found.keys() == {"good", "bad", "worse"}
    assert "OS::Cinder::Volume" in found["good"]
    assert found["bad"] == found["worse"] == []
