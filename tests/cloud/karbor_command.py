"""The real `karbor` command in processes of its own, with a state directory for a test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 300.0
PROGRAM = Path(sys.executable).parent / "karbor"


@dataclass(frozen=True)
class Answer:
    """How the command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line of an error; a test that reads it shows all there was."""
        lines = [line for line in self.err.splitlines() if line.startswith("karbor: ")]
        assert len(lines) == 1, self
        assert "Traceback" not in self.err, self
        return lines[0]


@dataclass
class Karbor:
    """One person's Karbor: `home` is where it keeps its database and bank."""

    home: Path
    clouds_yaml: Path
    cloud: str = "demo"
    extra: Mapping[str, str] = field(default_factory=dict)
    program: Sequence[str] = ()     # what the command is run by, such as faketime

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.home), "XDG_DATA_HOME": str(self.home / "data"),
                "OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml), **self.extra}

    @property
    def state(self) -> Path:
        return self.home / "data" / "karbor"

    def __call__(self, *words: str, expect: int | None = 0, cloud: str | None = None) -> Answer:
        done = subprocess.run(
            [*self.program, PROGRAM, *words],
            env={**self.environment, "OS_CLOUD": cloud or self.cloud}, cwd=self.home,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
        answer = Answer(done.returncode, done.stdout, done.stderr)
        assert expect is None or answer.code == expect, answer
        return answer

    def begin(self, *words: str) -> Running:
        return Running(subprocess.Popen(
            [PROGRAM, *words], env={**self.environment, "OS_CLOUD": self.cloud}, cwd=self.home,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))


class Running:
    """A command under way, whose progress can be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._more:
                self._lines.append(line)
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait for a line of stderr in which the pattern is found."""
        def seen() -> re.Match[str] | None:
            return next((found for line in self._lines if (found := re.search(pattern, line))),
                        None)
        with self._more:
            self._more.wait_for(lambda: seen() or self._ended, PATIENCE)
            found = seen()
        assert found, "".join(self._lines)
        return found

    def end(self) -> Answer:
        out = self.process.stdout
        assert out
        with out:
            told = out.read()
        code = self.process.wait(PATIENCE)
        self._reader.join()
        if self.process.stderr:
            self.process.stderr.close()
        return Answer(code, told, "".join(self._lines))
