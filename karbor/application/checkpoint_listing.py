"""The checkpoints of a project; one that cannot be read does not hide the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.errors import BankError, NewerFormat, ObjectDamaged, ObjectMissing


@dataclass
class CheckpointListing:
    """`unreadable` says of others why they are not among `found`; `others` are how many there are
    of other providers."""

    found: list[Checkpoint] = field(default_factory=list)
    unreadable: list[BankError] = field(default_factory=list)
    others: int = 0


def list_checkpoints(
    checkpoints: CheckpointRepository, provider_id: str, *, hidden: bool = False
) -> CheckpointListing:
    """Those of one provider (others may share its bank), the newest first (their ids sort by
    time). Raises BankError when the bank cannot be asked."""
    listing = CheckpointListing()
    for identity in checkpoints.ids():
        try:
            checkpoint = checkpoints.show(identity)
        except ObjectMissing:
            continue        # removed between the listing and the look
        except (ObjectDamaged, NewerFormat) as error:
            listing.unreadable.append(type(error)(f"checkpoint {identity}: {error.message}",
                                                remedy=error.remedy))
            continue
        if checkpoint.provider_id not in ("", provider_id):
            listing.others += 1
        elif hidden or checkpoint.state is not CheckpointState.DELETING:
            listing.found.append(checkpoint)
    listing.found.reverse()
    return listing
