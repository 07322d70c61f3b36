"""The real `karbor` command, in many processes at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.devcloud.settings import PASSWORD
from dev.endurance.place import Place
from dev.endurance.slow_road import SlowRoad

PROGRAM = Path(sys.executable).parent / "karbor"
OPERATION = re.compile(r"^operation +([0-9a-f-]{36})", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """How one process ended, and what it cost: seconds of processor time, MiB at its largest."""

    code: int
    out: str
    err: str
    cpu: float
    memory: float

    @property
    def answer(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The last line of what it said."""
        return (self.err.strip().splitlines() or ["it said nothing"])[-1]


class Commands:
    """All processes share one configuration, one database and one bank, as on a machine where
    many people use it."""

    def __init__(self, place: Place, window: int) -> None:
        self._place = place
        self._window = window
        self._conf = place.own / "karbor.conf"

    def configure(self, road: SlowRoad) -> None:
        """A state of its own, an account that vouches for users and is their trustee, and Glance
        at the end of the slow road. One image at a time, so that some of an operation's bytes
        move before and some after its credential has changed."""
        self._conf.write_text(f"""[DEFAULT]
state_path = {self._place.own / "state"}

[limits]
provider_glance_transfers = 1000
project_glance_transfers = 1

[glance]
endpoint_override = {road.address}

[service_user]
auth_type = password
auth_url = {self._place.auth_url}
username = karbor
password = {PASSWORD}
user_domain_name = Default
project_name = service
project_domain_name = Default

[credentials]
allow_expired_window = {self._window}
""")
        self._conf.chmod(0o600)

    def run(self, lines: Sequence[Sequence[str]], patience: float) -> list[Ended]:
        """All of these (cloud, words …) at the same time; waits for the last."""
        processes = [_Process(self._conf, self._place.own, number, cloud, words)
                     for number, (cloud, *words) in enumerate(lines)]
        end = time.monotonic() + patience
        return [one.end(max(0.0, end - time.monotonic())) for one in processes]

    def records(self, clouds: Sequence[str], ended: Sequence[Ended]) -> list[dict[str, Any]]:
        """What Karbor knows of the operations of these processes; {} where none was begun."""
        begun = [(cloud, found[1]) for cloud, one in zip(clouds, ended, strict=True)
                 if (found := OPERATION.search(one.err))]
        shown = self.run([(cloud, "operation", "show", id) for cloud, id in begun], 300.0)
        known = {cloud: one.answer for (cloud, _), one in zip(begun, shown, strict=True)
                 if one.code == 0}
        return [known.get(cloud, {}) for cloud in clouds]


class _Process:
    """Its output goes to files: nobody has to read along."""

    def __init__(self, conf: Path, own: Path, number: int, cloud: str, words: Sequence[str]
                 ) -> None:
        self._files = [own / f"{cloud}-{words[0]}-{number}.{kind}" for kind in ("out", "err")]
        out, err = (path.open("wb") for path in self._files)
        with out, err:
            self._process = subprocess.Popen(
                [PROGRAM, "--config-file", conf, "--os-cloud", cloud, "--format", "json", *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env={"OS_CLIENT_CONFIG_FILE": str(own / "clouds.yaml"), "HOME": str(own),
                     "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})

    def end(self, patience: float) -> Ended:
        killer = threading.Timer(patience, self._process.kill)
        killer.start()
        try:
            _, status, cost = os.wait4(self._process.pid, 0)
        finally:
            killer.cancel()
        self._process.returncode = os.waitstatus_to_exitcode(status)
        out, err = (path.read_text() for path in self._files)
        return Ended(self._process.returncode, out, err, cost.ru_utime + cost.ru_stime,
                     cost.ru_maxrss / 1024)
