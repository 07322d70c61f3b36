"""`make bench-requests`: what a protect of 50 servers with two volumes each sends to the cloud.

    python -m dev.benchmarks.requests [--servers 50] [--volumes 2] [--unrelated 5000] [--json]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.benchmarks.requests.measure import Counted, protect


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--servers", type=int, default=50)
    parser.add_argument("--volumes", type=int, default=2, help="of each server")
    parser.add_argument("--unrelated", type=int, default=5000,
                        help="volumes beside them, in a second run")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    found = []
    for unrelated in dict.fromkeys((0, options.unrelated)):
        with tempfile.TemporaryDirectory() as place:
            found.append(protect(options.servers, options.volumes, unrelated, Path(place) / "k"))
    if options.json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
    else:
        for one in found:
            print(_text(one))
    return 0


def _text(one: Counted) -> str:
    total = one.unavoidable + one.proofs + one.tags + one.looks
    lines = [f"{one.servers} servers with {one.volumes} volumes each, and {one.unrelated} others",
             f"  {total:5} requests to services; Karbor 1.6.0: {one.karbor_1}",
             f"  {one.unavoidable:5} that make, change or remove something, or fetch an image",
             f"  {one.looks:5} looks, and {one.beforehand} of a command before it is accepted",
             f"  {one.proofs:5} that read backups back in Swift",
             f"  {one.tags:5} that ask for the tags of devices",
             f"  {one.keystone:5} to Keystone",
             f"  the weakest evidence: {one.evidence}"]
    lines += [f"    {count:5} {what}" for what, count in sorted(
        _together(one.requests).items(), key=lambda item: -item[1])]
    return "\n".join(lines)


def _together(requests: Mapping[str, int]) -> Counter[str]:
    """Names of objects have the time of their backup in them."""
    found: Counter[str] = Counter()
    for request, count in requests.items():
        found[re.sub(r"/\d{14}/", "/TIME/", request)] += count
    return found


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    sys.exit(main())
