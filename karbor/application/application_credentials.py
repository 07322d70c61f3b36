"""The application credentials of a project in Karbor: Keystone, database and keys put together."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from karbor.domain.application_credential import ApplicationCredential
from karbor.domain.errors import CredentialError, KarborError, NotFound
from karbor.store.application_credentials import ApplicationCredentials

if TYPE_CHECKING:
    from karbor.credentials.registration import Registrar
    from karbor.credentials.seal import Seal


@dataclass(frozen=True)
class Made:
    """What is registered now, and why earlier ones are still there."""

    registration: ApplicationCredential
    left: Sequence[str]


class RegisteredCredentials:
    """A record stands before anything is made in Keystone, and until it is removed there: what a
    killed process left is found and removed with the next one."""

    def __init__(self, kept: ApplicationCredentials, registrar: Callable[[], Registrar],
                 seal: Callable[[], Seal]) -> None:
        self._kept = kept
        self._registrar = registrar
        self._seal = seal

    def list(self, project_id: str) -> list[ApplicationCredential]:
        """The newest first; those that were never finished too (without an id)."""
        return self._kept.list(project_id)

    def make(self, roles: Sequence[str], days: float | None) -> Made:
        """With the user's own login, in place of earlier ones. Raises BadInput, CredentialError;
        the earlier ones stay then."""
        registrar = self._registrar()
        planned = registrar.planned(days)
        self._kept.put(planned)
        try:
            made = registrar.make(planned, roles)
        except KarborError as error:
            if not error.transient:         # else it may be there, and is found by its name
                self._kept.drop(planned)
            raise
        return self._instead(registrar, made)

    def take(self, id: str, secret: str) -> Made:
        """One that the user made. Raises LoginFailed, BadInput, CredentialError."""
        registrar = self._registrar()
        return self._instead(registrar, registrar.take(id, secret))

    def own(self) -> Made:
        """The one that this login is made with. Raises as `take`."""
        registrar = self._registrar()
        return self._instead(registrar, registrar.own())

    def remove(self, project_id: str, user_id: str) -> builtins.list[ApplicationCredential]:
        """Here, and in Keystone where Karbor made it. Raises NotFound, CredentialError."""
        application_credentials = self._kept.list(project_id, user_id)
        if not application_credentials:
            raise NotFound("you have registered no application credential in this project")
        registrar = self._registrar()
        for application_credential in application_credentials:
            registrar.remove(application_credential)
            self._kept.drop(application_credential)
        return application_credentials

    def rotate_keys(self) -> int:
        """New sealing key; everything that is sealed is sealed with it. How many things."""
        seal = self._seal()
        seal.rotate()
        return self._kept.reseal(seal.again)

    def _instead(self, registrar: Registrar, made: ApplicationCredential) -> Made:
        self._kept.put(made)
        left = []
        for application_credential in self._kept.list(made.project_id, made.user_id):
            if application_credential.id == made.id:
                continue
            try:
                registrar.remove(application_credential)
            except CredentialError as error:
                left.append(error.message)      # it stays listed, and goes with the next one
            else:
                self._kept.drop(application_credential)
        return Made(made, left)
