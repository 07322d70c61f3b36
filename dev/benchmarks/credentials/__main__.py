"""`make bench-credentials`: what speaking for a user costs.

    python -m dev.benchmarks.credentials [wrapper] [logins] [lookups] [--lives N] [--json]

Exit status 1 when a process has logged in more often than once per service-token life.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dev.benchmarks.credentials import logins, lookups, report, wrapper
from dev.devcloud.settings import DevcloudError, State

LONG_ENOUGH = 300


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    wanted = options.what or ["wrapper", "lookups", "logins"]
    found: dict[str, Any] = {"machine": machine()}
    if "wrapper" in wanted:
        found["wrapper"] = wrapper.measure(times=options.times, rounds=options.rounds)
    if "lookups" in wanted:
        found["lookups"] = lookups.measure(times=options.times, rounds=options.rounds)
    if "logins" in wanted:
        try:
            found["logins"] = _logins(options)
        except DevcloudError as error:
            print(error, file=sys.stderr)
            return 2
    print(json.dumps(found, indent=1) if options.json else report.text(found))
    return 0 if all(one["one_per_life"] for one in found.get("logins", {}).get("crowds", ())) else 1


def _logins(options: argparse.Namespace) -> dict[str, Any]:
    state = State.default()
    settings = state.settings()
    if settings.token_expiration < LONG_ENOUGH:
        raise DevcloudError(f"its tokens live {settings.token_expiration} s, too short to tell "
                            f"anything: make cloud-up TOKEN_EXPIRATION={LONG_ENOUGH}")
    return logins.measure(
        f"http://{settings.host}:5000/v3", users=options.users, lives=options.lives,
        tell=lambda line: print(line, file=sys.stderr),
        logins_seen=_log_of(state.log / "keystone.log"))


def _log_of(file: Path) -> Callable[[], int]:
    """Counts the logins in Keystone's own log of requests."""
    return lambda: sum('"POST /v3/auth/tokens' in line
                       for line in file.read_text(errors="replace").splitlines())


def machine() -> dict[str, Any]:
    cpu = next((line.split(":", 1)[1].strip() for line in _lines(Path("/proc/cpuinfo"))
                if line.startswith("model name")), platform.processor())
    return {"cpu": cpu, "cores": os.cpu_count(), "load": [round(one, 1) for one in os.getloadavg()],
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            **{name: version(name) for name in ("keystoneauth1", "requests", "urllib3")}}


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.credentials",
                                     description="What speaking for a user costs.")
    parser.add_argument("what", nargs="*", choices=["wrapper", "lookups", "logins", []],
                        help="default: all three")
    parser.add_argument("--times", type=int, default=300, help="requests in a block")
    parser.add_argument("--rounds", type=int, default=15, help="blocks of each way")
    parser.add_argument("--lives", type=int, default=2, help="service tokens to use up")
    parser.add_argument("--users", type=lambda text: [int(one) for one in text.split(",")],
                        default=[1, 50, 500], help="crowds, as in 1,50,500")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
