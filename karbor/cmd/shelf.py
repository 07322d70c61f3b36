"""The checkpoints of a project; one that cannot be read does not hide the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.errors import BankError, NewerFormat, ObjectDamaged, ObjectMissing
from karbor.operations.checkpoints import Checkpoints


@dataclass
class Shelf:
    """`unreadable` says of the others why they are not among `found`."""

    found: list[Checkpoint] = field(default_factory=list)
    unreadable: list[BankError] = field(default_factory=list)


def read_shelf(checkpoints: Checkpoints, *, hidden: bool = False) -> Shelf:
    """The newest first (their ids sort by time). Raises BankError when the bank cannot be asked."""
    shelf = Shelf()
    for identity in checkpoints.ids():
        try:
            one = checkpoints.show(identity)
        except ObjectMissing:
            continue        # removed between the listing and the look
        except (ObjectDamaged, NewerFormat) as error:
            shelf.unreadable.append(type(error)(f"checkpoint {identity}: {error.message}",
                                                remedy=error.remedy))
            continue
        if hidden or one.state is not CheckpointState.DELETING:
            shelf.found.append(one)
    shelf.found.reverse()
    return shelf
