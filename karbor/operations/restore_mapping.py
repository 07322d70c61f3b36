"""What a restore is told to use instead of what the checkpoint says: `--map OLD=NEW`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from karbor.domain.checkpoint import Checkpoint
from karbor.domain.errors import BadInput, UnknownName
from karbor.plugin.protection import Protection


def check_mapping(mapping: Mapping[str, str], checkpoint: Checkpoint,
                  protections: Mapping[str, Protection]) -> None:
    """An answer to nothing would be passed over in silence, and the old thing be used after all.

    Raises UnknownName for an OLD that is no value of anything the checkpoint holds, and BadInput
    for an empty NEW where the protections cannot do without the old thing.
    """
    if not mapping:
        return
    graph = checkpoint.graph.to_dict()
    said = set(_words([graph, [one.saved for one in checkpoint.kept.values()]]))
    for old, new in mapping.items():
        if old not in said:
            raise UnknownName(
                f"--map {old}={new}: the checkpoint says {old} nowhere",
                remedy="a dry run without --map shows what it needs and what is missing")
        if not new and old not in _optional(checkpoint, protections):
            raise BadInput(f"--map {old}=: only a key pair can be left out",
                           remedy="say what to use instead: --map OLD=NEW")


def _optional(checkpoint: Checkpoint, protections: Mapping[str, Protection]) -> set[str]:
    found: set[str] = set()
    for resource in checkpoint.graph:
        if resource.key in checkpoint.kept and resource.type in protections:
            found.update(protections[resource.type].optional(checkpoint.kept[resource.key].saved))
    return found


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _words(each)
    elif isinstance(value, Iterable):
        for each in value:
            yield from _words(each)
