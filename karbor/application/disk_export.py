"""Find a disk in a checkpoint, and read it, or a part of it, without any cloud."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint
from karbor.domain.errors import AmbiguousName, BadInput, Conflict, UnknownName
from karbor.domain.resource import Resource
from karbor.operations.execution_context import Provider
from karbor.vault import open_kept


@dataclass(frozen=True)
class ExportedDisk:
    """A part of a disk: `offset` and `length` in bytes, and where they come from."""

    resource: Resource
    size: int
    offset: int
    length: int
    blocks: Generator[bytes, None, None]


def open_disk(provider: Provider, checkpoint: Checkpoint, word: str, *, offset: int = 0,
              length: int | None = None) -> ExportedDisk:
    """Open the disk of a resource of the checkpoint, by the resource's key, id or name, or by that
    of the server that it belongs to.

    Raises UnknownName, AmbiguousName, BadInput for a part that the disk does not have, Conflict for
    a checkpoint that is being made or deleted, and BankError.
    """
    resource, facts = _find(checkpoint, word)
    section = CheckpointRepository(provider.bank, checkpoint.project_id).section(
        checkpoint.id, resource)
    disk = open_kept(provider.vault(checkpoint.project_id), section, facts)
    if not 0 <= offset <= disk.size:
        raise BadInput(f"the disk has {disk.size} bytes: there is no offset {offset}")
    wanted = disk.size - offset if length is None else min(length, disk.size - offset)
    return ExportedDisk(resource, disk.size, offset, wanted, disk.read(offset, wanted))


def _find(checkpoint: Checkpoint, word: str) -> tuple[Resource, Mapping[str, Any]]:
    disks = _disks(checkpoint)
    if not disks and checkpoint.kept == {}:
        raise Conflict(f"checkpoint {checkpoint.name or checkpoint.id} is {checkpoint.state}")
    matching = [(resource, facts) for resource, facts in disks
                if word in (resource.key, resource.id, resource.name, resource.within)]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(f"{resource.name or resource.id} ({resource.key})" for resource, _ in
                      (matching or disks)) or "none: what services of the cloud hold is not in it"
    if matching:
        raise AmbiguousName(f"{word} means several disks", remedy=f"name one by its key: {names}")
    raise UnknownName(f"the checkpoint has no disk {word} in its bank", remedy=f"it has: {names}")


def _disks(checkpoint: Checkpoint) -> list[tuple[Resource, Mapping[str, Any]]]:
    """Return the resources whose bytes lie in the bank, with what was saved of the bytes."""
    disks = []
    for resource in checkpoint.graph.parents_first():
        record = checkpoint.kept.get(resource.key)
        for saved in (record.saved if record else {}).values():
            facts = saved.get("stream") if isinstance(saved, Mapping) else None
            if isinstance(facts, Mapping) and "size" in facts and "name" in facts:
                disks.append((resource, facts))
    return disks
