"""Registrations: application credentials that users have registered with Karbor."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import fields

import sqlalchemy as sa

from karbor.domain.application_credential import ApplicationCredential
from karbor.store.connect import reading, writing
from karbor.store.record_changes import note_change
from karbor.store.schedule_tables import SCHEDULED_OPERATIONS
from karbor.store.tables import INSTALLATION, OPERATIONS, REGISTRATIONS

_MINE = [field.name for field in fields(ApplicationCredential)]


class ApplicationCredentials:
    """Reached through the project. A user has one in each; more only while one replaces another,
    or where one could not be removed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def put(self, registration: ApplicationCredential) -> None:
        """Keep it, in place of what was kept under its id."""
        values = {name: getattr(registration, name) for name in _MINE}
        with writing(self._engine) as connection:
            connection.execute(sa.delete(REGISTRATIONS).where(
                REGISTRATIONS.c.id == registration.id))
            connection.execute(sa.insert(REGISTRATIONS).values(values))
            note_change(connection, registration.project_id)

    def of(self, project_id: str, user_id: str) -> ApplicationCredential | None:
        """Return the user's newest application credential that can be used; one whose making was
        cut off cannot."""
        return next(
            (
                application_credential
                for application_credential in self.list(project_id, user_id)
                if application_credential.application_credential_id
            ),
            None,
        )

    def list(
        self, project_id: str, user_id: str | None = None
    ) -> builtins.list[ApplicationCredential]:
        """Return the project's application credentials, the newest first; those whose making was
        cut off too (they have no id)."""
        query = sa.select(REGISTRATIONS).where(REGISTRATIONS.c.project_id == project_id)
        if user_id is not None:
            query = query.where(REGISTRATIONS.c.user_id == user_id)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(REGISTRATIONS.c.created_at.desc())
                                      ).mappings().all()
        return [ApplicationCredential(**{name: row[name] for name in _MINE}) for row in rows]

    def drop(self, registration: ApplicationCredential) -> None:
        with writing(self._engine) as connection:
            connection.execute(sa.delete(REGISTRATIONS).where(
                REGISTRATIONS.c.id == registration.id,
                REGISTRATIONS.c.project_id == registration.project_id))
            note_change(connection, registration.project_id)

    def reseal(self, again: Callable[[str], str]) -> int:
        """Seal everything of the database that is sealed anew, with `again`, in one transaction;
        returns how many things. For a rotation of the keys. Raises what `again` raises; nothing has
        changed then."""
        count = 0
        with writing(self._engine) as connection:
            kept = sa.select(REGISTRATIONS.c.id, REGISTRATIONS.c.sealed).where(
                REGISTRATIONS.c.sealed != "")
            for row in connection.execute(kept).all():
                connection.execute(sa.update(REGISTRATIONS).where(REGISTRATIONS.c.id == row.id)
                                   .values(sealed=again(row.sealed)))
                count += 1
            for row in connection.execute(sa.select(OPERATIONS.c.id, OPERATIONS.c.credential).where(
                    OPERATIONS.c.state.in_(["queued", "planning", "running", "undoing"]))).all():
                sealed, found = _resealed(row.credential, again)
                if found:
                    connection.execute(sa.update(OPERATIONS).where(OPERATIONS.c.id == row.id)
                                       .values(credential=sealed))
                    count += found
            for row in connection.execute(sa.select(
                    SCHEDULED_OPERATIONS.c.id, SCHEDULED_OPERATIONS.c.credential)).all():
                sealed, found = _resealed(row.credential, again)
                if found:
                    connection.execute(sa.update(SCHEDULED_OPERATIONS).where(
                        SCHEDULED_OPERATIONS.c.id == row.id).values(credential=sealed))
                    count += found
            connection.execute(sa.update(INSTALLATION).values(copied_at=None))      # all anew
        return count


def _resealed(value: object, again: Callable[[str], str]) -> tuple[object, int]:
    """Return the same with every member called `sealed` sealed anew, and how many there were."""
    if not isinstance(value, dict):
        return value, 0
    out: dict[str, object] = {}
    count = 0
    for name, one in value.items():
        if name == "sealed" and isinstance(one, str) and one:
            out[name], found = again(one), 1
        else:
            out[name], found = _resealed(one, again)
        count += found
    return out, count
