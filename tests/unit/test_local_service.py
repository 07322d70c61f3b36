"""What `make service-up` leaves on the disk is its owner's alone."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from dev.devcloud.settings import State
from dev.service.place import Place


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_files_and_directories_are_nobody_elses(tmp_path: Path) -> None:
    state = State(tmp_path / "cloud")
    before = os.umask(0o022)
    try:
        (tmp_path / "cloud" / "karbor").mkdir(parents=True, mode=0o755)
        state.create()
        state.clouds_yaml.write_text(yaml.safe_dump({"clouds": {"karbor": {"auth": {
            "password": "hunter2"}}}}))
        place = Place(state, "127.0.0.1")
        place.log.touch()
        (place.root / "karbor.out").touch()
        place.configure()
        with place.output() as out:
            out.write(b"it began\n")
        place.write(place.pid_file, "7\n")
    finally:
        os.umask(before)
    assert (mode(state.root), mode(place.root)) == (0o700, 0o700)
    assert {one.name: mode(one) for one in place.root.iterdir()} == {
        "karbor.conf": 0o600, "karbor.log": 0o600, "karbor.out": 0o600, "karbor.pid": 0o600}
    assert "hunter2" in place.configuration.read_text()
