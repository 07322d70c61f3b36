"""The cloud's processes: started detached, found again by pid and start time, stopped as groups."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dev.devcloud.settings import DevcloudError, State

_POLL = 0.2


@dataclasses.dataclass(frozen=True)
class Record:
    """What was started: enough to see whether it still is the same, and to start it again."""

    name: str
    pid: int
    birth: str  # the kernel's start time: a pid alone may have been given to another process
    command: list[str]
    environment: dict[str, str]
    digest: str
    started: float
    log_offset: int = 0


_FIELDS = [field.name for field in dataclasses.fields(Record)]


def _birth(pid: int) -> str | None:
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] == "Z" else fields[19]


def _group_lives(leader: int) -> bool:
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            stat = path.read_text()
            fields = stat[stat.rindex(")") + 2 :].split()
            state, group, threads = fields[0], int(fields[2]), int(fields[17])
            # the first thread may be a zombie while others still hold the ports
            if group == leader and (state != "Z" or threads > 1):
                return True
    return False


def _digest(command: Sequence[str], environment: Mapping[str, str], files: Iterable[Any]) -> str:
    """Changes when a restart is due: another command line, environment or file it has read."""
    digest = hashlib.sha256(json.dumps([command, sorted(environment.items())]).encode())
    for file in files:
        digest.update(pathlib.Path(file).read_bytes())
    return digest.hexdigest()


class Processes:
    """The daemons of one state."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.cancelled = threading.Event()  # ends all waits, when a part of the cloud has failed

    # ---------------------------------------------------------------- records
    def record(self, name: str) -> Record | None:
        try:
            written = json.loads(self._path(name).read_text())
        except FileNotFoundError:
            return None
        return Record(**{field: written[field] for field in _FIELDS if field in written})

    def records(self) -> Iterator[Record]:
        for path in sorted(self._state.run.glob("*.json")):
            record = self.record(path.stem)
            if record:
                yield record

    def alive(self, name: str) -> bool:
        record = self.record(name)
        return record is not None and _birth(record.pid) == record.birth

    def started(self, name: str) -> float:
        record = self.record(name)
        return record.started if record else 0.0

    def _path(self, name: str) -> pathlib.Path:
        return self._state.run / f"{name}.json"

    # ---------------------------------------------------------------- start and stop
    def ensure(
        self,
        name: str,
        command: Sequence[Any],
        environment: Mapping[str, str],
        files: Iterable[Any] = (),
    ) -> None:
        """Start it unless it runs already with this command line and these files."""
        words = [str(word) for word in command]
        digest = _digest(words, environment, files)
        record = self.record(name)
        if record and self.alive(name):
            if record.digest == digest:
                return
            self.stop(name)
        self._spawn(name, words, dict(environment), digest)

    def start(self, name: str) -> None:
        """Start again what `stop` stopped, as it was."""
        record = self.record(name)
        if record is None:
            raise DevcloudError(f"no process {name} (have: {', '.join(self.names())})")
        if not self.alive(name):
            self._spawn(name, record.command, record.environment, record.digest)

    def names(self) -> list[str]:
        return [record.name for record in self.records()]

    def _spawn(self, name: str, command: list[str], environment: dict[str, str], dig: str) -> None:
        with (self._state.log / f"{name}.log").open("ab") as log:
            log.write(f"\n===== start {time.strftime('%F %T')} =====\n".encode())
            log.flush()
            offset = log.tell()
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._state.root,
            )
        birth = _birth(process.pid) or ""
        record = Record(name, process.pid, birth, command, environment, dig, time.time(), offset)
        temporary = self._state.run / f".{name}.new"
        temporary.write_text(json.dumps(dataclasses.asdict(record), indent=1))
        temporary.replace(self._path(name))

    def signal(self, name: str, number: int) -> None:
        record = self.record(name)
        if record and self.alive(name):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(record.pid, number)

    def stop(self, name: str, patience: float = 15) -> None:
        """TERM to the whole group, KILL after a while; the record stays, for `start`."""
        record = self.record(name)
        if record is None or not self.alive(name):
            return
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            self.signal(name, number)
            end = time.monotonic() + wait
            while time.monotonic() < end and self.alive(name):
                _reap(record.pid)
                time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(record.pid, signal.SIGKILL)  # workers that outlived their leader
        end = time.monotonic() + 5.0
        while time.monotonic() < end and _group_lives(record.pid):  # and hold its ports
            time.sleep(0.05)

    def remove(self, name: str) -> None:
        """Stop it for good."""
        self.stop(name)
        self._path(name).unlink(missing_ok=True)

    # ---------------------------------------------------------------- logs and waiting
    def tail(self, name: str, lines: int = 30) -> str:
        path = self._state.log / f"{name}.log"
        if not path.exists():
            return "(no log)"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def logged(self, name: str, text: str) -> bool:
        """Whether a process has written this soon after its latest start."""
        record = self.record(name)
        if record is None:
            return False
        with (self._state.log / f"{name}.log").open("rb") as log:
            log.seek(record.log_offset)
            return text.encode() in log.read(1 << 18)

    def wait(
        self, names: Sequence[str], ready: Callable[[], bool], what: str, patience: float = 240
    ) -> None:
        """Poll until ready; a process that dies meanwhile ends the wait with its log's tail."""
        end = time.monotonic() + patience
        trouble = "not ready"
        while time.monotonic() < end:
            if self.cancelled.is_set():
                raise DevcloudError(f"no longer waiting for {what}")
            for name in names:
                if not self.alive(name):
                    raise DevcloudError(f"{name} died: waiting for {what}\n{self.tail(name)}")
            try:
                if ready():
                    return
                trouble = "not ready"
            except (OSError, DevcloudError) as error:
                trouble = str(error)
            time.sleep(_POLL)
        tails = "\n".join(f"--- {name}\n{self.tail(name)}" for name in names)
        raise DevcloudError(f"{what}: {trouble} after {patience:.0f} s\n{tails}")

    def run(
        self,
        log: str,
        command: Sequence[Any],
        environment: Mapping[str, str],
        stdin: bytes | None = None,
    ) -> bytes:
        """Run a command to its end, with its output in a log; returns what it printed."""
        words = [str(word) for word in command]
        path = self._state.log / f"{log}.log"
        with path.open("ab") as file:
            file.write(f"\n$ {' '.join(words)}\n".encode())
            file.flush()
            done = subprocess.run(
                words,
                env=dict(environment),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=subprocess.PIPE,
                stderr=file,
                cwd=self._state.root,
                timeout=900,
                check=False,
            )
        if done.returncode:
            output = done.stdout.decode(errors="replace")[-2000:]
            raise DevcloudError(
                f"{words[0]} ended with {done.returncode}\n{output}{self.tail(log)}"
            )
        return done.stdout


def _reap(pid: int) -> None:
    """A child of this very process stays a zombie until it is waited for."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
