"""The units of systemd, as systemd reads them. None is started here: that needs systemd as init."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "etc" / "systemd").iterdir())
SERVICES = [one for one in UNITS if one.suffix == ".service"]
PROGRAMS = ("karbor", "gunicorn")
RELOAD = """/bin/sh -c 'kill -HUP "$$MAINPID"'"""    # minimal systems have no /bin/kill


@pytest.fixture(scope="session")
def analyze() -> str:
    """Debian's package systemd brings it; installing it starts nothing."""
    if shutil.which("systemd-analyze") is None:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]
        subprocess.run([*apt, "update"], check=True, env=environment)
        subprocess.run([*apt, "-y", "--no-install-recommends", "install", "systemd"], check=True,
                       env=environment)
    found = shutil.which("systemd-analyze")
    assert found
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units in a root of their own, with programs where the guide puts them."""
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for unit in UNITS:
        shutil.copy(unit, units)
    for name in ("opt/karbor/bin/karbor", "opt/karbor/bin/gunicorn", "bin/sh"):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    # What they are ordered after is there on every Debian.
    shutil.copytree("/lib/systemd/system", tmp_path / "lib" / "systemd" / "system", symlinks=True)
    return tmp_path


def verify(analyze: str, root: Path, *units: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([analyze, "verify", "--man=no", "--recursive-errors=no", f"--root={root}",
                           *units], text=True, capture_output=True, check=False)


def test_systemd_accepts_them(analyze: str, installed: Path) -> None:
    for unit in UNITS:
        done = verify(analyze, installed, unit.name.replace("@.", "@1."))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), unit.name


def test_systemd_would_have_seen_a_mistake(analyze: str, installed: Path) -> None:
    unit = installed / "etc" / "systemd" / "system" / "karbor.service"
    unit.write_text(unit.read_text().replace("ProtectSystem=", "ProtectSytem="))
    assert "ProtectSytem" in verify(analyze, installed, unit.name).stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_they_are_hardened_and_stop_in_peace(unit: Path) -> None:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str      # type: ignore[assignment,method-assign]
    read.read(unit)
    service = read["Service"]
    assert {"User": "karbor", "NoNewPrivileges": "yes", "ProtectSystem": "strict",
            "StateDirectory": "karbor", "UMask": "0077",
            "CapabilityBoundingSet": ""}.items() <= dict(service).items()
    assert service["ExecReload"] == RELOAD
    assert 60 < int(service["TimeoutStopSec"]) <= 90       # longer than gunicorn's own patience
    program, *_ = service["ExecStart"].split()
    assert Path(program).name in PROGRAMS
    assert program.startswith("/opt/karbor/bin/")
