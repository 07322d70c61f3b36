"""What a restore is told to use instead of what the checkpoint says: `--map OLD=NEW`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from karbor.domain.checkpoint import Checkpoint
from karbor.domain.errors import UnknownName


def check_answers(mapping: Mapping[str, str], checkpoint: Checkpoint) -> None:
    """An answer to nothing would be passed over in silence, and the old thing be used after all.

    Raises UnknownName for an OLD that is no value of anything the checkpoint holds.
    """
    if not mapping:
        return
    graph = checkpoint.graph.to_dict() if checkpoint.graph else {}
    said = set(_words([graph, [one.saved for one in checkpoint.kept.values()]]))
    for old, new in mapping.items():
        if old not in said:
            raise UnknownName(
                f"--map {old}={new}: the checkpoint says {old} nowhere",
                remedy="a dry run without --map shows what it needs and what is missing")


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _words(each)
    elif isinstance(value, Iterable):
        for each in value:
            yield from _words(each)
