"""What a checkpoint holds: its resources as a tree, each with its proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from karbor.cli.formatting import count, duration, moment, size, thing, titles
from karbor.cli.output import as_facts, as_table
from karbor.cli.steps_view import tree
from karbor.domain.checkpoint import Checkpoint, Kept
from karbor.operations.selection import short

GIB = 1 << 30


def checkpoint_json(checkpoint: Checkpoint, *, brief: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": checkpoint.id, "name": checkpoint.name, "state": checkpoint.state,
        "project_id": checkpoint.project_id, "created_at": checkpoint.created_at,
        "finished_at": checkpoint.finished_at, "skew": checkpoint.skew,
        "evidence": checkpoint.evidence, "reason": checkpoint.reason,
        "operation_id": checkpoint.operation_id, "provider_id": checkpoint.provider_id,
        "damaged": bool(checkpoint.damage),
        "verified": checkpoint.verified.to_dict() if checkpoint.verified else None,
        "resources": len(checkpoint.graph)}
    if not brief:
        body |= {"graph": checkpoint.graph.to_dict(), "parameters": dict(checkpoint.parameters),
                 "kept": [one.to_dict() for one in checkpoint.kept.values()],
                 "origin": dict(checkpoint.origin)}
    return body


def paint_checkpoint(checkpoint: Checkpoint) -> None:
    """Show everything a person may want to know before relying on it."""
    skew = "" if checkpoint.skew is None else (
        f"{duration(checkpoint.skew)} between the first and the last snapshot, as the storage "
        "dates them")
    as_facts((
        ("checkpoint", checkpoint.id), ("name", checkpoint.name),
        ("state", checkpoint.state + (f": {checkpoint.reason}" if checkpoint.reason else "")),
        ("created", moment(checkpoint.created_at)),
        ("copied from", _copied_from(checkpoint.origin.get("copied_from"))),
        ("holds", count(len(checkpoint.graph), "resource")),
        ("skew", skew),
        ("evidence", str(checkpoint.evidence or "none")),
        ("verified", verified(checkpoint, whole=True)),
        *(("DAMAGED", f"{short(damage.type)} {damage.name or damage.id}: {damage.what}")
          for damage in (checkpoint.verified.damage if checkpoint.verified else ())),
        ("operation", checkpoint.operation_id)))
    rows = []
    for resource, depth, first in tree(checkpoint.graph):
        kept = checkpoint.kept.get(resource.key)
        rows.append(("  " * depth + thing(resource) + ("" if first else " (see above)"),
                     resource.id, held(kept) if first else "",
                     str(kept.evidence or "none") if kept and kept.saved and first else ""))
    as_table(("RESOURCE", "ID", "KEPT", "EVIDENCE"), rows, "it holds nothing", spare=("ID",))
    names = titles(checkpoint.graph)
    paint_unproved((names[one.key], kept.unproved) for one, _, first in tree(checkpoint.graph)
                   if first and (kept := checkpoint.kept.get(one.key)))
    for resource, _, first in tree(checkpoint.graph):
        kept = checkpoint.kept.get(resource.key)
        for saved in kept.saved.values() if kept and first else ():
            if saved.get("note"):
                as_facts((("note", f"{names[resource.key]}: {saved['note']}"),))
    missing = [(names[resource.key], told) for resource, _, first in tree(checkpoint.graph) if first
               for told in getattr(checkpoint.kept.get(resource.key), "not_kept", ())]
    for name, told in missing:
        as_facts((("not kept", f"{name}: {told.get('field', '')}: {told.get('why', '')}"),))


def verified(checkpoint: Checkpoint, *, whole: bool = False) -> str:
    """Return when the last verify was and what it came to; `whole`: by which operation as well."""
    verification = checkpoint.verified
    if verification is None:
        return "never" if whole else ""
    outcome = (
        "damage was found" if verification.damaged else verification.evidence or "nothing proved"
    )
    by = f", by operation {verification.operation_id}" if whole else ""
    return f"{moment(verification.at)}: {outcome}{by}"


def _copied_from(told: Mapping[str, Any] | None) -> str:
    if not told:
        return ""
    return (f"{told['checkpoint_id']} of provider {told['provider_id']}, which holds what was "
            f"there at {moment(told['taken_at'])}")


def paint_unproved(found: Iterable[tuple[str, str]]) -> None:
    """Show why the evidence of (name, reason) goes no further: a line for each reason, not one for
    each of a hundred volumes."""
    names: dict[str, list[str]] = {}
    for name, why in found:
        if why:
            names.setdefault(why, []).append(name)
    for why, those in names.items():
        as_facts((("no further", f"{', '.join(those)}: {why}"),))


def held(kept: Kept | None) -> str:
    """Return how much is kept of a resource, where its plugin says so."""
    if kept is None:
        return ""
    amount = bytes_of(kept)
    backup = kept.saved.get("backup", {})
    if "snapshot_size" in backup:
        kind = "incremental" if backup.get("is_incremental") else "full"
        return f"{size(int(backup['size']) * GIB)} volume, {kind}"
    return size(amount) if amount is not None else ""


def bytes_of(kept: Kept) -> int | None:
    """Return what the stages say they stored in the bank; None when none says anything."""
    found = [amount for saved in kept.saved.values() for amount in _amounts(saved)]
    return sum(found) if found else None


def _amounts(saved: Mapping[str, Any]) -> list[int]:
    stored = saved.get("object")
    if isinstance(stored, Mapping) and isinstance(stored.get("size"), int):
        return [stored["size"]]
    if isinstance(saved.get("stream"), Mapping) and isinstance(saved.get("size"), int):
        return [saved["size"]]
    return []
