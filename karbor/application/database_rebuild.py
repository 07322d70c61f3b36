"""Rebuild: put back what a lost database had, from the copies that banks keep of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from karbor import config
from karbor.application.checkpoint_sync import CheckpointSync
from karbor.application.record_copies import (
    UNREADABLE,
    Copy,
    RecordCopier,
    prefix_of,
    projects_in,
    read,
)
from karbor.credentials.credential import Grant
from karbor.credentials.seal import Seal
from karbor.domain.errors import AmbiguousName, BadInput, KarborError
from karbor.operations.execution_context import Provider
from karbor.plugin.bank import Bank
from karbor.providers.catalog import ProviderCatalog, ProviderInfo
from karbor.schedule.times import next_after
from karbor.store.checkpoints import CheckpointRecords
from karbor.store.record_changes import OF_NO_PROJECT, RecordChanges
from karbor.store.records import Records, Rows
from karbor.store.schedule_rows import trigger_from_row
from karbor.store.schedule_trust_use import known_trusts

if TYPE_CHECKING:
    from karbor.credentials.authority import Authority

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A copy that a bank has, and what the database does not have of it."""

    provider: ProviderInfo
    copy: Copy
    missing: Rows


@dataclass
class Rebuilt:
    """`rows` are how many of each kind were put back, or would be, by project. `databases` are the
    ids of the lost databases, each with when its copies were last written. `unreadable` says why
    something could not be put back, `checkpoints` in how many projects checkpoints were found."""

    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    databases: dict[str, float] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    checkpoints: int = 0

    def count(self, project_id: str, rows: Rows) -> None:
        mine = self.rows.setdefault(project_id, {})
        for kind, some in rows.items():
            if some:
                mine[kind] = mine.get(kind, 0) + len(some)


class Rebuilding:
    """For an operator, with the configuration, the sealing keys and the providers of the service.
    What the database has stays as it is, so that it may be done twice, and after a crash."""

    def __init__(self, conf: config.ConfigOpts, providers: ProviderCatalog, database: Any) -> None:
        self._providers = providers
        self._seal = Seal(config.key_file(conf))
        self._records = Records(database)
        self._changes = RecordChanges(database)
        self._checkpoints = CheckpointRecords(database)
        self._bank_records = CheckpointSync(self._checkpoints)
        self._copier = RecordCopier(conf, providers, database)
        self._own = self._changes.installation()

    def look(self, database_id: str = "") -> tuple[Rebuilt, Sequence[Found]]:
        """What would be put back; nothing is changed. `database_id`: only from the copies of this
        one. Raises AmbiguousName when banks have copies of several lost databases and none is
        named, StoreError."""
        rebuilt = Rebuilt()
        founds: list[Found] = []
        for provider, bank in self._banks(rebuilt):
            for copy in self._copies(provider, bank, rebuilt):
                if copy.database_id == self._own and self._changes.pending(copy.project_id):
                    continue        # the database is newer than what it has written there
                if database_id in ("", copy.database_id):
                    founds.append(Found(provider, copy, self._records.missing(
                        copy.project_id, copy.rows)))
                    rebuilt.databases[copy.database_id] = max(
                        copy.written_at, rebuilt.databases.get(copy.database_id, 0.0))
        lost = sorted(set(rebuilt.databases) - {self._own})
        if len(lost) > 1:
            raise AmbiguousName(
                "the banks have copies of several databases: " + ", ".join(
                    f"{lost_id} (until {_at(rebuilt.databases[lost_id])})" for lost_id in lost),
                remedy="name the lost one: --from ID")
        seen: set[tuple[str, str]] = set()
        for found in founds:     # a trigger may be in several banks
            rebuilt.count(found.copy.project_id, {
                kind: [row for row in rows if _first(seen, kind, row)]
                for kind, rows in found.missing.items()})
        return rebuilt, founds

    def rebuild(self, database_id: str = "") -> Rebuilt:
        """Put it back, and copy it anew under the id of this database; then the copies of the lost
        one go. Raises as `look`."""
        looked, founds = self.look(database_id)
        founds = [found for found in founds
                  if found.copy.database_id != self._own or any(found.missing.values())]
        rebuilt = replace(looked, rows={})
        now = time.time()
        whole = _together(founds)
        for project_id, rows in whole.items():
            rebuilt.count(project_id, self._records.put_back(project_id, _due_again(rows, now)))
        for project_id in whole:
            mine = [found for found in founds if found.copy.project_id == project_id
                    and found.copy.database_id != self._own]
            try:
                self._copier.copy(project_id)
                for found in mine:
                    left = self._records.missing(project_id, found.copy.rows)
                    if any(left.values()):
                        rebuilt.unreadable.append(
                            f"of project {project_id or 'none'} is not put back, since something "
                            "that it needs is in no bank: " + ", ".join(
                                f"{row.get('name') or row.get('id')} ({kind})"
                                for kind, some in left.items() for row in some))
                    else:
                        self._providers.open(found.provider).bank.delete([found.copy.key])
            except KarborError as error:
                rebuilt.unreadable.append(
                    f"the records of project {project_id or 'none'} are back, and are copied into "
                    f"the banks later: {error}")
        self._look_for_checkpoints(rebuilt)
        return rebuilt

    def _look_for_checkpoints(self, rebuilt: Rebuilt) -> None:
        projects: set[str] = set()
        for provider, bank in self._banks(Rebuilt()):
            opened: Provider = self._providers.open(provider)
            for project_id in projects_in(bank):
                try:
                    self._bank_records.refresh(opened, project_id)
                except KarborError as error:
                    rebuilt.unreadable.append(f"checkpoints of project {project_id} with provider "
                                           f"{provider.name}: {error}")
                else:
                    self._checkpoints.abandon(project_id, time.time())
                    projects.add(project_id)
        rebuilt.checkpoints = len(projects)

    def _banks(self, rebuilt: Rebuilt) -> Iterator[tuple[ProviderInfo, Bank]]:
        """Of all providers, those that are disabled too."""
        for info in self._providers.list():
            try:
                bank = self._providers.open(info).bank
                bank.list(prefix_of(OF_NO_PROJECT), limit=1)
            except (KarborError, OSError) as error:
                rebuilt.unreadable.append(f"the bank of provider {info.name}: {error}")
            else:
                yield info, bank

    def _copies(self, provider: ProviderInfo, bank: Bank, rebuilt: Rebuilt) -> Iterator[Copy]:
        for project_id in (OF_NO_PROJECT, *projects_in(bank)):
            prefix = prefix_of(project_id)
            for key in [stored.key for stored in bank.list(f"{prefix}{provider.id}.")]:
                try:
                    yield read(bank, self._seal, key)
                except UNREADABLE as error:
                    rebuilt.unreadable.append(f"{key} in the bank of provider {provider.name}: "
                                           f"{error}")


@dataclass(frozen=True)
class UnknownTrust:
    """A trust that Karbor's account holds in Keystone, and of which the database knows nothing."""

    id: str
    user_id: str
    project_id: str
    expires_at: str


def unknown_trusts(authority: Authority, database: Any, *, end: bool) -> Sequence[UnknownTrust]:
    """What a lost database may have left in Keystone: trusts of operations that were running. With
    `end` they are removed. Raises CredentialError."""
    known = known_trusts(database)
    unknown = [UnknownTrust(str(trust["id"]), str(trust["trustor_user_id"]),
                            str(trust["project_id"]), str(trust["expires_at"]))
               for trust in authority.trustee.held() if str(trust["id"]) not in known]
    if end:
        for trust in unknown:
            authority.trustee.end(Grant(trust.id, trust.expires_at, ()))
    return unknown


def _first(seen: set[tuple[str, str]], kind: str, row: Mapping[str, Any]) -> bool:
    what = kind, str([row.get(name) for name in ("id", "project_id", "name", "kind")])
    if what in seen:
        return False
    seen.add(what)
    return True


def _together(founds: Sequence[Found]) -> dict[str, dict[str, list[Mapping[str, Any]]]]:
    """By project, what all banks have of it: those written last count first."""
    whole: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    seen: set[tuple[str, str]] = set()
    for found in sorted(founds, key=lambda found: -found.copy.written_at):
        mine = whole.setdefault(found.copy.project_id, {})
        for kind, rows in found.copy.rows.items():
            mine.setdefault(kind, []).extend(row for row in rows if _first(seen, kind, row))
    return whole


def _due_again(rows: Mapping[str, Sequence[Mapping[str, Any]]], now: float) -> Rows:
    """Scheduled operations are due from now on: nobody knows what came of the times that passed
    since they were copied."""
    triggers = {row["id"]: trigger_from_row(dict(row)) for row in rows.get("triggers", ())}

    def due(row: Mapping[str, Any]) -> float | None:
        trigger = triggers.get(row["trigger_id"])
        if not row["enabled"] or trigger is None:
            return None
        try:
            return next_after(trigger.properties, now)
        except BadInput:
            return now      # the worker says what is wrong with its times

    return {**rows, "scheduled_operations": [
        {**row, "next_due_at": due(row)} for row in rows.get("scheduled_operations", ())]}


def _at(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
