"""Copies of a project's records in the banks of its providers: what outlives a lost database.

    projects/PROJECT/records/PROVIDER.DATABASE.json     of a project
    records/PROVIDER.DATABASE.json                      of none: quota classes

Each database writes objects of its own, so that a new, empty one never writes over what an older
one has left. The contents are sealed: they hold what lets Karbor act for users, and nobody who can
only write into a bank shall make Karbor act for somebody.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from karbor import config
from karbor.credentials.seal import Seal
from karbor.domain.errors import (
    BadInput,
    CredentialError,
    KarborError,
    NewerFormat,
    ObjectDamaged,
    ObjectMissing,
)
from karbor.plugin.bank import Bank
from karbor.providers.catalog import ProviderCatalog, ProviderInfo
from karbor.store.checkpoints import CheckpointRecords
from karbor.store.record_changes import Change, RecordChanges
from karbor.store.records import Records, Rows

LOG = logging.getLogger(__name__)

FORMAT = 1
KIND = "karbor records"
POLL_SECONDS = 5.0          # between two looks for what has changed
HOLD_SECONDS = 300.0        # after which a worker that copies a project's records is taken for dead
RETRY_SECONDS = 60.0        # after a bank that could not be written
NOTE_SECONDS = 60.0         # between two looks whether it is time to copy everything
EVERYTHING_SECONDS = 86400.0    # after which everything is copied again: banks change too

VERIFIES_SECONDS = 3600.0   # between two looks for verifies whose process died as they ended

_OWNERS = "projects/"


@dataclass(frozen=True)
class Copy:
    """What one object holds: the rows of a project that belong into the bank of one provider, as
    they were at `written_at` (seconds since the epoch) in the database of that id."""

    project_id: str
    provider_id: str
    database_id: str
    written_at: float
    rows: Rows

    @property
    def key(self) -> str:
        return key_of(self.project_id, self.provider_id, self.database_id)


def prefix_of(project_id: str) -> str:
    return f"{_OWNERS}{project_id}/records/" if project_id else "records/"


def key_of(project_id: str, provider_id: str, database_id: str) -> str:
    return f"{prefix_of(project_id)}{provider_id}.{database_id}.json"


def projects_in(bank: Bank) -> Iterator[str]:
    """Every project of which the bank has anything: one request for each of them."""
    after = ""
    while page := bank.list(_OWNERS, after=after, limit=1):
        project_id = page[0].key.split("/")[1]
        yield project_id
        after = f"{_OWNERS}{project_id}0"       # the character behind the slash


def write(bank: Bank, seal: Seal, copy: Copy) -> None:
    """Raises BankError, CredentialError."""
    sealed = seal.seal(json.dumps({
        "format": FORMAT, "project_id": copy.project_id, "provider_id": copy.provider_id,
        "database_id": copy.database_id, "written_at": copy.written_at,
        "rows": {name: list(rows) for name, rows in copy.rows.items()}}))
    body = {"kind": KIND, "format": FORMAT, "project_id": copy.project_id,
            "provider_id": copy.provider_id, "database_id": copy.database_id,
            "written_at": copy.written_at, "sealed": sealed}
    bank.put(copy.key, [json.dumps(body, sort_keys=True).encode()])


def read(bank: Bank, seal: Seal, key: str) -> Copy:
    """Raises ObjectMissing, ObjectDamaged, NewerFormat, BankError; CredentialError when it was
    sealed with other keys."""
    try:
        body = json.loads(b"".join(bank.get(key)))
        if body["kind"] != KIND:
            raise ObjectDamaged(f"{key} holds no records")
        if body["format"] > FORMAT:
            raise NewerFormat(f"{key} has format {body['format']}; this Karbor knows {FORMAT}",
                              remedy="use the Karbor that wrote it, or a later one")
        records = json.loads(seal.open(body["sealed"]))
        copy = Copy(str(records["project_id"]), str(records["provider_id"]),
                    str(records["database_id"]), float(records["written_at"]), records["rows"])
    except (ValueError, KeyError, TypeError) as error:
        raise ObjectDamaged(f"{key} cannot be understood: {error}") from error
    if copy.key != key:     # what was sealed for another place counts for nothing here
        raise ObjectDamaged(f"{key} holds the records of another project, provider or database")
    return copy


class RecordCopier:
    """A context manager: the thread of a worker that keeps the copies up to date. It outlives
    whatever goes wrong in one round."""

    def __init__(self, conf: config.ConfigOpts, providers: ProviderCatalog, database: Any) -> None:
        self._providers = providers
        self._seal = Seal(config.key_file(conf))
        self._changes = RecordChanges(database)
        self._records = Records(database)
        self._checkpoints = CheckpointRecords(database)
        self._verifies_at = self._noted_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go, name="records")
        self._failing = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join()

    def _go(self) -> None:
        while not self._stopping.is_set():
            more = False
            try:
                now = time.time()
                if now - self._noted_at >= NOTE_SECONDS:
                    self._changes.note_all(now - EVERYTHING_SECONDS, now)
                    self._noted_at = now
                more = self.round(now)
                if now - self._verifies_at >= VERIFIES_SECONDS:
                    self._checkpoints.settle_verifies(now - 2 * VERIFIES_SECONDS)
                    self._verifies_at = now
            except KarborError as error:
                LOG.warning("records are not copied into banks for now: %s", error)
            except Exception:       # a fault of ours must be seen, and not end every copy
                LOG.exception("records are not copied into banks for now")
            self._stopping.wait(0.0 if more else POLL_SECONDS)

    def round(self, now: float) -> bool:
        """Copy some of what has changed; whether there was anything. Raises StoreError."""
        taken = self._changes.take(now, HOLD_SECONDS)
        for change in taken:
            if self._stopping.is_set():
                self._changes.postpone(change, 0.0)
                continue
            self._copy(change)
        return bool(taken)

    def _copy(self, change: Change) -> None:
        try:
            self.copy(change.project_id)
        except KarborError as error:
            if str(error) != self._failing:
                LOG.warning("the records of project %s are not in their banks yet: %s",
                            change.project_id or "none", error)
            self._failing = str(error)
            self._changes.postpone(change, time.time() + RETRY_SECONDS)
        else:
            self._failing = ""
            self._changes.copied(change)

    def copy(self, project_id: str) -> None:
        """Into every bank that can be written; then raises what one that cannot has raised."""
        rows, database_id = self._records.of(project_id), self._changes.installation()
        listed = self._providers.list()
        wanted = _wanted(rows, listed)
        for strange in sorted(set(wanted) - {info.id for info in listed}):
            LOG.warning("plans or schedules of project %s are of provider %s, which no file "
                        "describes: they are in no bank", project_id, strange)
        failed: KarborError | None = None
        for info in listed:
            mine = _part(rows, info.id) if info.id in wanted else {}
            made = Copy(project_id, info.id, database_id, time.time(), mine)
            try:
                bank = self._providers.open(info).bank
                if any(mine.values()):
                    write(bank, self._seal, made)
                else:
                    bank.delete([made.key])
            except (KarborError, OSError) as error:
                if info.id not in wanted and not info.enabled:
                    continue        # nothing belongs there, and nobody looks after it
                failed = error if isinstance(error, KarborError) else BadInput(
                    f"the bank of provider {info.name} cannot be used: {error}")
        if failed is not None:
            raise failed


def _wanted(rows: Rows, listed: Sequence[ProviderInfo]) -> set[str]:
    """The providers that the project's plans and schedules name; without any, all that are
    enabled."""
    named = {str(row["provider_id"]) for kind in ("plans", "scheduled_operations")
             for row in rows.get(kind, ())}
    return named or {info.id for info in listed if info.enabled}


def _part(rows: Rows, provider_id: str) -> Rows:
    """What belongs into the bank of one provider: its plans and schedules, the triggers of these
    (and those that nothing uses), and what belongs to the project as a whole."""
    schedules = rows.get("scheduled_operations", ())
    own = [row for row in schedules if row["provider_id"] == provider_id]
    used, mine = ({row["trigger_id"] for row in some} for some in (schedules, own))

    def keeps(kind: str, row: Mapping[str, Any]) -> bool:
        if kind in ("plans", "scheduled_operations"):
            return bool(row["provider_id"] == provider_id)
        return kind != "triggers" or row["id"] in mine or row["id"] not in used

    return {kind: [row for row in some if keeps(kind, row)] for kind, some in rows.items()}


UNREADABLE = (ObjectMissing, ObjectDamaged, NewerFormat, CredentialError)
"""What can be wrong with one copy while the others are well."""
