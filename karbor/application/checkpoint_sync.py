"""Checkpoint sync: what a database knows of checkpoints, made to agree with what their bank holds.

Checkpoints are also made and deleted by commands, and a database can be lost: the bank counts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint_record import CheckpointRecord, RecordStatus, from_bank
from karbor.domain.errors import NewerFormat, ObjectDamaged, ObjectMissing, StoreError
from karbor.domain.operation import Operation, Verb
from karbor.domain.verification import Verification
from karbor.operations.execution_context import Provider
from karbor.store.checkpoints import CheckpointRecords

LOG = logging.getLogger(__name__)
LOOK = 60.0     # seconds for which a look into a bank is good: one listing of ids for each project


class CheckpointSync:
    """One per process. `clock` runs in seconds and never backwards."""

    def __init__(self, records: CheckpointRecords,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._records = records
        self._clock = clock
        self._looked: dict[tuple[str, str], float] = {}
        self._strange: set[tuple[str, str]] = set()     # not ours, or not readable
        self._lock = threading.Lock()

    def refresh(self, provider: Provider, project_id: str) -> None:
        """If that was not done lately. Reads only those checkpoints that are not known yet, or
        whose operation nobody here knows. Raises BankError: a list that hides what the bank could
        not tell would be a wrong one."""
        which = (provider.id, project_id)
        with self._lock:
            if self._clock() - self._looked.get(which, float("-inf")) < LOOK:
                return
            self._look(provider, project_id)
            self._looked[which] = self._clock()

    def _look(self, provider: Provider, project_id: str) -> None:
        bank = CheckpointRepository(provider.bank, project_id)
        known = self._records.known(project_id)
        listed = dict(bank.listed())
        there = set(listed)
        adopted = []
        for identity in sorted(there):
            owner, status, has_graph = known.get(identity, (provider.id, None, True))
            # Those in the making here are followed by their operations.
            if (provider.id, identity) not in self._strange and (status is None or (
                    owner == provider.id and has_graph and status.coming)):
                record = self._read(bank, identity, provider)
                if record is not None:
                    adopted.append(record)
        if adopted:
            self._records.keep(adopted)
        self._note_verifies(bank, provider, project_id, listed)
        for identity, (owner, status, has_graph) in known.items():
            # One that failed before it came to the bank has no graph, and was never there.
            if (owner == provider.id and identity not in there and has_graph
                    and not status.coming and status is not RecordStatus.DELETED):
                self._records.set_status(project_id, identity, RecordStatus.DELETED,
                                         "it is not in its bank any more", time.time())

    def _note_verifies(self, bank: CheckpointRepository, provider: Provider, project_id: str,
                       listed: Mapping[str, str]) -> None:
        """What verifies have found, wherever they ran: of those is read what has changed."""
        known = self._records.verified(project_id, provider.id)
        for identity, checksum in listed.items():
            if checksum and known.get(identity, checksum) != checksum:
                verification = bank.verified(identity)
                if verification is not None:
                    self._records.note_verified(project_id, identity, verification, checksum)

    def _read(self, bank: CheckpointRepository, identity: str, provider: Provider
              ) -> CheckpointRecord | None:
        try:
            checkpoint = bank.show(identity)
        except ObjectMissing:
            return None         # removed between the listing and the look
        except (ObjectDamaged, NewerFormat) as error:
            LOG.warning("checkpoint %s in the bank of %s cannot be read: %s", identity,
                        provider.name, error)
            self._strange.add((provider.id, identity))
            return None
        if checkpoint.provider_id not in ("", provider.id):      # another one's, in the same bank
            self._strange.add((provider.id, identity))
            return None
        return from_bank(checkpoint, provider.id)


def note_verify(records: CheckpointRecords, operation: Operation) -> None:
    """What a verify that is over has found, for the record of its checkpoint. Raises nothing: the
    next look into the bank finds the same."""
    verification = operation.result.get("verification")
    if operation.verb is not Verb.VERIFY or not verification:
        return
    try:
        records.note_verified(operation.project_id, operation.checkpoint_id,
                              Verification.from_dict(verification))
    except StoreError as error:
        LOG.warning("what operation %s found is not in the record of its checkpoint yet: %s",
                    operation.id, error)
