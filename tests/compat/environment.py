"""The environment of the old clients: a venv of its own, since they cannot live beside Karbor."""

from __future__ import annotations

import hashlib
import pathlib
import subprocess
import sys

from dev.devcloud.settings import REPOSITORY

HERE = pathlib.Path(__file__).parent
PLACE = REPOSITORY / ".venv-compat"
DASHBOARD = "karbor-dashboard==1.5.1"
"""Without what it needs: one module of it is used, which wants Horizon for five names only."""


def python() -> pathlib.Path:
    """Its interpreter; made at the first call, and again when what it needs has changed."""
    requirements = HERE / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + DASHBOARD.encode()).hexdigest()
    complete, found = PLACE / "complete", PLACE / "bin" / "python"
    if complete.exists() and complete.read_text() == wanted:
        return found
    _run(sys.executable, "-m", "venv", "--clear", str(PLACE))
    for what in (["-r", str(requirements)], ["--no-deps", DASHBOARD]):
        # uv is several times quicker; pip knows ways to the packages that uv may not
        if not _succeeds(sys.executable, "-m", "uv", "pip", "install", "-q", "--python",
                         str(found), *what):
            _run(str(found), "-m", "pip", "install", "-q", "--disable-pip-version-check", *what)
    complete.write_text(wanted)
    return found


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.stdout.write(f"{python()}\n")
