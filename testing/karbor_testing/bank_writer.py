"""A writer to be killed: puts an object whose body never ends, and says when it is in its middle.

    python -m karbor_testing.bank_writer MODULE:NAME OPTIONS-AS-JSON KEY
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator

from karbor.plugin.bank import Bank


def write_and_wait(plugin: str, options: str, key: str) -> None:
    module, _, name = plugin.partition(":")
    bank: Bank = getattr(importlib.import_module(module), name)(json.loads(options))

    def body() -> Iterator[bytes]:
        yield b"x" * 6_000_000
        sys.stdout.write("in the middle\n")
        sys.stdout.flush()
        sys.stdin.read()        # until we are killed
        yield b"the end"

    bank.put(key, body())


if __name__ == "__main__":
    write_and_wait(*sys.argv[1:])
