"""Verification: what the last verify of a checkpoint found, and how far it looked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from karbor.domain.errors import CloudNotFound, ObjectDamaged, ObjectMissing, RemoteFailed

_DAMAGE = (ObjectDamaged, ObjectMissing, CloudNotFound, RemoteFailed)
NAMED = 5       # damaged resources that are named in one line


@dataclass(frozen=True)
class Damage:
    """A resource of which something is missing or not as it was kept. `key` is its key in the
    checkpoint's graph, `what` says in words what was found."""

    key: str
    type: str
    id: str
    name: str
    what: str

    def to_dict(self) -> dict[str, str]:
        return {"key": self.key, "type": self.type, "id": self.id, "name": self.name,
                "what": self.what}


@dataclass(frozen=True)
class Verification:
    """`at` is when the verify ended, in seconds since the epoch. `evidence` is the weakest proof of
    the resources that are as they were kept, "" without any. `damage` also names what an earlier
    verify found and this one did not get to. `unseen` are the keys of resources that were not
    looked at to the end."""

    operation_id: str
    at: float
    evidence: str = ""
    damage: tuple[Damage, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def damaged(self) -> bool:
        return bool(self.damage)

    @property
    def conclusive(self) -> bool:
        """Whether it says something that is worth remembering in place of an earlier one: it saw
        everything, or it found damage."""
        return self.damaged or not self.unseen

    def after(self, earlier: Verification | None) -> Verification:
        """Return this verification with the damage that the earlier one found in what this one did
        not look at."""
        if earlier is None:
            return self
        left = tuple(damage for damage in earlier.damage if damage.key in self.unseen)
        return replace(self, damage=(*self.damage, *left))

    def to_dict(self) -> dict[str, Any]:
        return {"operation_id": self.operation_id, "at": self.at, "evidence": self.evidence,
                "damage": [damage.to_dict() for damage in self.damage], "unseen": list(self.unseen)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Verification:
        return cls(str(raw["operation_id"]), float(raw["at"]), str(raw.get("evidence") or ""),
                   tuple(Damage(**{name: str(one.get(name, "")) for name in
                                   ("key", "type", "id", "name", "what")})
                         for one in raw.get("damage", ())),
                   tuple(map(str, raw.get("unseen", ()))))


def is_damage(error: Mapping[str, Any]) -> bool:
    """Return whether the facts of an error say that what was kept is not there, or not as it
    was; not that nobody could look."""
    return error.get("error") in _names(_DAMAGE)


def told(damage: Sequence[Damage]) -> str:
    """Return in one line what was found in which resources."""
    if not damage:
        return ""
    named = "; ".join(f"{one.type} {one.name or one.id}: {one.what}" for one in damage[:NAMED])
    more = f"; and {len(damage) - NAMED} more" if len(damage) > NAMED else ""
    return f"a verify found damage: {named}{more}"


def _names(families: Iterable[type]) -> set[str]:
    """Return the names of the classes and of all that plugins derive from them."""
    found: set[str] = set()
    for family in families:
        found |= {family.__name__, *_names(family.__subclasses__())}
    return found
