"""`make endurance`: operations of five minutes with tokens of thirty seconds, side by side.

    python -m dev.endurance [--operations N] [--seconds N]

Exit status 0 and a last line `endurance: OK …`, or 1 and what was not as it should be.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dev.endurance import place as places
from dev.endurance.place import Trouble
from dev.endurance.proof import Scale
from dev.endurance.story import play
from dev.endurance.table import show, summary

MIB = 1 << 20


@contextmanager
def chapter(what: str) -> Iterator[None]:
    print(f"── {what}", flush=True)
    start = time.monotonic()
    yield
    print(f"   {time.monotonic() - start:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, value, text in (
            ("operations", 20, "protects, and then restores, at the same time"),
            ("seconds", 300, "how long the slow road makes each of them last"),
            ("token-life", 30, "seconds"), ("window", 60, "seconds"),
            ("size", 32, "MiB of each of the smallest application's two disks")):
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=text)
    asked = parser.parse_args()
    scale = Scale(asked.operations, asked.seconds, asked.token_life, asked.window,
                  asked.size * MIB)
    try:
        report = play(places.find(), scale, chapter)
    except Trouble as trouble:
        print(f"\nendurance: FAILED: {trouble}", file=sys.stderr)
        return 1
    show(report)
    if report.faults:
        print("\nendurance: FAILED:\n  " + "\n  ".join(report.faults), file=sys.stderr)
        return 1
    print(f"\nendurance: OK: {summary(report)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
