"""`python3 -m dev.bare [--keep] [COMMAND ...]`; see `make bare`. It runs as root."""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import signal
import sys
import time

from dev.bare.root import Root

COMMANDS = ["make demo", "make test"]
NEEDED = ("debootstrap", "git", "unshare")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bare", description="Run commands in a clone of HEAD, on "
                                     "a Debian 12 that has nothing else.")
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    parser.add_argument("command", nargs="*", default=COMMANDS,
                        help="default: %(default)s")
    options = parser.parse_args()
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        _say(f"this runs as root, and needs {', '.join(NEEDED)}"
             + (f"; please install: {' '.join(missing)}" if missing else ""))
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    repository = pathlib.Path(__file__).resolve().parents[2]
    begin = time.monotonic()
    with Root(options.keep) as root:
        _say(f"installing Debian 12 in {root.path}")
        root.install()
        root.clone(repository)
        # one shell: what the first command leaves running, the second one meets
        code = root.run("\n".join(options.command))
    _say(f"{'; '.join(options.command)}: "
         f"{'OK' if code == 0 else f'FAILED with exit code {code}'}, "
         f"after {(time.monotonic() - begin) / 60:.0f} minutes")
    return code


def _say(text: str) -> None:
    sys.stderr.write(f"bare: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
