"""`make bench-api`: what requests to the REST API cost, beside a bare application.

python -m dev.benchmarks.api [--times 100] [--rounds 15] [--checkpoints 10000] [--resources 1000]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dev.benchmarks.api.measure import measure


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What requests to the REST API cost.")
    parser.add_argument("--times", type=int, default=100, help="requests of a block")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--checkpoints", type=int, default=10_000)
    parser.add_argument("--resources", type=int, default=1000, help="of the large plan")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as place:
        found = measure(Path(place) / "karbor", times=options.times, rounds=options.rounds,
                        checkpoints=options.checkpoints, resources=options.resources)
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    for one in found["routes"]:
        per = one["cpu_seconds_per_1000"]
        print(f"{one['name']:30} {per:8.3f} CPU s per 1000   {1000 / per:7.0f} per CPU second   "
              f"ratio {one['ratio']:.2f}")
    for what, seconds in found["single"].items():
        print(f"{what:50} {seconds:8.3f} s")
    return 0


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    sys.exit(main())
