"""CheckpointRecord: what the service remembers of a checkpoint beside what its bank holds.

The bank is the truth of what was kept. The record answers lists by pages without reading a bank,
knows of a checkpoint from the moment it was asked for, and still after it was deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.operation import OperationState, Verb
from karbor.domain.verification import Verification


class RecordStatus(StrEnum):
    """As Karbor 1.x names them (with its hyphen)."""

    PROTECTING = "protecting"
    AVAILABLE = "available"
    ERROR = "error"
    COPYING = "copying"
    DELETING = "deleting"
    DELETED = "deleted"
    ERROR_DELETING = "error-deleting"

    @property
    def live(self) -> bool:
        """Whether an operation is at work on the checkpoint."""
        return self in (RecordStatus.PROTECTING, RecordStatus.COPYING, RecordStatus.DELETING)

    @property
    def coming(self) -> bool:
        """Whether the checkpoint is being made."""
        return self in (RecordStatus.PROTECTING, RecordStatus.COPYING)

    @property
    def deletable(self) -> bool:
        return self in (RecordStatus.AVAILABLE, RecordStatus.ERROR, RecordStatus.ERROR_DELETING)


OPERATION_ENGINE = "operation-engine"
MANUAL = "manual"


@dataclass(frozen=True)
class CheckpointRecord:
    """`origin` as in `Checkpoint`. `operation_id` is the operation that works on it, or the last
    one that did. `graph` is None until it is known. `verified` is what its last verify found (a
    `Verification`), `verified_at` when that was, `damaged` whether it found damage. Times are
    seconds since the epoch."""

    id: str
    project_id: str
    provider_id: str
    name: str
    status: RecordStatus
    created_at: float
    plan_id: str = ""
    reason: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    operation_id: str = ""
    graph: Mapping[str, Any] | None = None
    updated_at: float | None = None
    verified: Mapping[str, Any] | None = None
    verified_at: float | None = None
    damaged: bool = False

    @property
    def verification(self) -> Verification | None:
        return None if self.verified is None else Verification.from_dict(self.verified)

    @property
    def created_by(self) -> str:
        return str(self.origin.get("created_by", MANUAL))

    @property
    def scheduled_operation_id(self) -> str:
        return str(self.origin.get("scheduled_operation_id", ""))


def from_bank(checkpoint: Checkpoint, provider_id: str) -> CheckpointRecord:
    """Return the record of a checkpoint that this database knew nothing of."""
    status = RecordStatus(checkpoint.state.value)
    if status is RecordStatus.PROTECTING and "copied_from" in checkpoint.origin:
        status = RecordStatus.COPYING
    return CheckpointRecord(
        checkpoint.id, checkpoint.project_id, provider_id, checkpoint.name,
        status, checkpoint.created_at,
        plan_id=str(checkpoint.origin.get("plan", {}).get("id", "")), reason=checkpoint.reason,
        origin=dict(checkpoint.origin), operation_id=checkpoint.operation_id,
        graph=checkpoint.graph.to_dict() if checkpoint.graph else None,
        updated_at=checkpoint.finished_at, **of_verification(checkpoint.verified))


def of_verification(found: Verification | None) -> dict[str, Any]:
    """Return the fields of a record that say what a verify found."""
    if found is None:
        return {"verified": None, "verified_at": None, "damaged": False}
    return {"verified": found.to_dict(), "verified_at": found.at, "damaged": found.damaged}


UNHIDDEN = "unhidden"
"""In the result of a deletion that failed and had removed nothing: the state that the checkpoint
has again."""


def after(verb: Verb, state: OperationState, unhidden: str = "") -> RecordStatus:
    """Return what an operation that is over leaves of the checkpoint it worked on (of a copy:
    the new one; the original stays what it was). `unhidden` is what its result says of that."""
    if verb is Verb.DELETE and state is not OperationState.DONE:
        return RecordStatus(unhidden) if unhidden else RecordStatus.ERROR_DELETING
    if verb is Verb.DELETE:
        return RecordStatus.DELETED
    return RecordStatus.AVAILABLE if state is OperationState.DONE else RecordStatus.ERROR


def may_be_reset(record: CheckpointRecord, wanted: RecordStatus, in_bank: CheckpointState | None
                 ) -> str:
    """Return why a person may not have its status set so; "" if they may. `available` is never
    said of what the bank does not say it of."""
    if record.status not in (RecordStatus.AVAILABLE, RecordStatus.ERROR):
        return f"The checkpoint {record.id} can not be reset."
    if wanted is RecordStatus.AVAILABLE and in_bank is not CheckpointState.AVAILABLE:
        return (f"The checkpoint {record.id} can not be reset: the bank says that it is "
                f"{in_bank or 'not there'}.")
    return ""
