"""Clouds of one process: the person's own login, and one for each operation it drives."""

from __future__ import annotations

import logging
import threading
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from karbor import config
from karbor.application.application_credentials import RegisteredCredentials
from karbor.application.login_project_cache import LoginProjectCache
from karbor.application.operation_trusts import OperationTrusts
from karbor.domain.errors import CredentialError, CredentialSuspended, KarborError, TokenRejected
from karbor.domain.operation import Operation
from karbor.domain.probe_token import bounds
from karbor.plugin.cloud import Cloud
from karbor.plugin.delegation import Delegation
from karbor.store.application_credentials import ApplicationCredentials
from karbor.store.operations import Operations
from karbor.store.probe_tokens import ProbeTokens

if TYPE_CHECKING:
    from karbor.clients.cloud import OpenStackCloud
    from karbor.clients.connect import Connector
    from karbor.credentials.authority import Authority

LOG = logging.getLogger(__name__)

UNDO_SECONDS = 600.0    # that removing what was left is expected to take


class Clouds:
    """`name` is an entry of clouds.yaml; `unattended`: of a process in which no person logs in, and
    for which no login at hand may stand in. Everything is made at its first use. Safe for threads.
    """

    def __init__(self, conf: config.ConfigOpts, name: str | None, remembered: LoginProjectCache,
                 database: Any, *, unattended: bool = False) -> None:
        self._unattended = unattended
        self._conf = conf
        self._name = name
        self._remembered = remembered
        self._registrations = ApplicationCredentials(database)
        self._probe_tokens = ProbeTokens(database)
        self.trusts = OperationTrusts(Operations(database), lambda: self.connector.authority)
        self._mine: OpenStackCloud | None = None
        self._of: dict[str, OpenStackCloud] = {}
        self._connecting = threading.RLock()
        self._connector: Connector | None = None

    # ------------------------------------------------------------------ the person's own
    @property
    def mine(self) -> OpenStackCloud:
        """As the person at the command line sees it. Raises what `Connector.log_in` raises."""
        with self._connecting:
            if self._mine is None:
                self._mine = self.connector.log_in(self._name)
                self._remembered.remember(self._name, self._mine.project_id)
            return self._mine

    @property
    def project_id(self) -> str:
        """Of the login, without logging in where nothing has changed since the last time."""
        if self._mine is None:
            known = self._remembered.project_of(self._name)
            if known is not None:
                return known
        return self.mine.project_id

    @property
    def delegation(self) -> Delegation:
        """What the person can pass on to an operation."""
        return self.connector.delegation(self.mine, self._registrations.of)

    @cached_property
    def application_credentials(self) -> RegisteredCredentials:
        from karbor.credentials.registration import Registrar  # noqa: PLC0415

        authority = self.connector.authority
        return RegisteredCredentials(
            self._registrations, lambda: Registrar(authority, self.mine.login),
            lambda: authority.seal)

    # ------------------------------------------------------------------ those of operations
    def of(self, operation: Operation) -> Cloud:
        """A login of its own, which can change and be waited for. Raises
        what `Connector.resume` raises."""
        with self._connecting:
            if operation.id not in self._of:
                self._of[operation.id] = self.connector.resume(
                    operation.credential, live=self._mine,
                    changed=partial(self.trusts.changed, operation.id))
            return self._of[operation.id]

    def ended(self, operation: Operation) -> KarborError | None:
        """Why it must not go on, when its credential has come to its end."""
        cloud = self._of.get(operation.id)
        return cloud.ended if cloud is not None else None

    def take_up(self, operation: Operation) -> Operation:
        """One that another process began. A credential that is over for good is replaced by one of
        the login at hand, where that is the same user's. Raises what kept it from logging in for
        now; one that can never log in again is returned as it is, to be ended."""
        try:
            operation = self.trusts.settle(operation)
            self.of(operation)
        except (TokenRejected, CredentialSuspended) as error:
            return self._taken_over(operation, error)
        return operation

    def take_up_left(self, operation: Operation) -> Operation:
        """One that is over goes on removing what it had to leave, with the login at hand. Raises
        Conflict where nothing is left, CredentialError."""
        return self.trusts.taken_up(operation, self.delegation, UNDO_SECONDS)

    def forget(self, operation: Operation) -> None:
        """Nothing more is done for it here."""
        with self._connecting:
            cloud = self._of.pop(operation.id, None)
        if cloud is not None and cloud is not self._mine:
            cloud.close()

    def _taken_over(self, operation: Operation, over: CredentialError) -> Operation:
        if self._unattended:
            return _ended_or_waiting(operation, over)
        try:
            mine = self.mine
            if (mine.user_id, mine.project_id) != (operation.caller.get("user_id"),
                                                   operation.project_id):
                return _ended_or_waiting(operation, over)
            needed = float(operation.credential.get("needed") or 0.0)
            return self.trusts.replaced(operation, self.delegation.choose(needed),
                                        self.delegation, over.message)
        except KarborError as refusal:
            if refusal.transient:
                raise
            LOG.warning("operation %s cannot go on with the login at hand either: %s",
                        operation.id, refusal)
            return _ended_or_waiting(operation, over)

    def close(self) -> None:
        for open_stack_cloud in {
            id(open_stack_cloud): open_stack_cloud
            for open_stack_cloud in (*self._of.values(), self._mine)
            if open_stack_cloud
        }.values():
            open_stack_cloud.close()

    @property
    def authority(self) -> Authority:
        """The one of this process."""
        return self.connector.authority

    @property
    def connector(self) -> Connector:
        """The one of this process: what it knows of Keystone and its service token is kept once."""
        with self._connecting:
            if self._connector is None:
                from karbor.clients.connect import Connector  # noqa: PLC0415 - openstacksdk: half a second
                from karbor.credentials.authority import Authority  # noqa: PLC0415

                self._connector = Connector(Authority(
                    self._conf, seen=lambda auth_url: bounds(self._probe_tokens.of(auth_url))))
            return self._connector

    @property
    def connected(self) -> bool:
        """Whether there is a connector yet."""
        return self._connector is not None


def _ended_or_waiting(operation: Operation, over: CredentialError) -> Operation:
    """What may pass is waited for; one that is over for good lets the operation end."""
    if over.transient:
        raise over
    return operation
