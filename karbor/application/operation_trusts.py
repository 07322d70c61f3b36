"""Trusts of operations: what stands in Keystone for one goes when it is over.

The record of an operation says what stands for it, before it is made and until it is gone. So what
a killed process left behind is found by the next one. Whatever goes wrong here is told and never
keeps an operation from what it was asked to do: a trust ends by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from karbor.domain.errors import Conflict, CredentialError, KarborError, StoreError
from karbor.domain.operation import Operation, OperationEvent
from karbor.plugin.delegation import Delegation
from karbor.store.operations import Operations

if TYPE_CHECKING:
    from karbor.credentials.authority import Authority

LOG = logging.getLogger(__name__)


class OperationTrusts:
    """`authority` is asked for when there is something to do in Keystone."""

    def __init__(self, records: Operations, authority: Callable[[], Authority]) -> None:
        self._records = records
        self._authority = authority

    def settle(self, operation: Operation) -> Operation:
        """One whose process died just when its trust was made: with the trust, or without. Raises
        CredentialError."""
        grant = operation.credential.get("grant")
        if not grant or grant["id"]:
            return operation
        credential = self._authority().settle(operation.credential)
        trust_id = (credential.get("grant") or {}).get("id", "")
        self._records.represent(operation.id, credential, trust_id, OperationEvent(
            time.time(), "the trust that was being made when its process ended was "
            + ("found" if trust_id else "never made: it runs on the user's token alone")))
        return replace(operation, credential=credential)

    def replaced(self, operation: Operation, credential: Mapping[str, Any],
                 delegation: Delegation, why: str) -> Operation:
        """The same on another credential of the same user. Raises CredentialError; a transient one
        also when it cannot be told now what has become of the trust that it had: its record is the
        only one that knows of it."""
        self._give_up(operation)
        self._records.represent(operation.id, credential, delegation.wants(credential))
        credential = delegation.grant(credential)
        self._records.represent(
            operation.id, credential, delegation.wants(credential),
            OperationEvent(time.time(), f"taken over with a new login of its user ({why})"))
        return replace(operation, credential=credential)

    def taken_up(self, operation: Operation, delegation: Delegation, needed: float, *,
                 offered: bool = False) -> Operation:
        """One that is over, with what it had to leave, on a credential of whoever asks for it;
        `offered`: workers go on with it, as they do with what they had before. Raises Conflict
        where it is not over, or nothing is left of it, and CredentialError; nothing has changed
        then."""
        if not operation.state.over:    # nothing may happen to the trust that it runs on
            raise Conflict(f"operation {operation.id} is {operation.state}: what it leaves can be "
                           "removed when it is over")
        credential = delegation.choose(needed)
        self._give_up(operation)        # its record is the only one that knows of that trust
        self._records.take_up_left(
            operation.project_id, operation.id, credential, delegation.wants(credential),
            OperationEvent(time.time(), "what was left is removed with a new login"),
            offered=offered)
        try:
            credential = delegation.grant(credential)
        except KarborError as error:
            self._records.leave_again(operation, OperationEvent(
                time.time(), f"what was left stays: {error}"))
            raise
        self._records.represent(operation.id, credential, delegation.wants(credential))
        return self._records.show(operation.project_id, operation.id)

    def changed(self, operation_id: str, credential: Mapping[str, Any], why: str) -> None:
        """It runs on another rung now. Called in the middle of a request, from any thread."""
        LOG.info("operation %s: %s", operation_id, why)
        grant = credential.get("grant") or {}
        try:
            self._records.represent(operation_id, credential, grant.get("id", ""),
                                    OperationEvent(time.time(), why))
        except StoreError as error:
            # The next process begins on the rung before, and changes again.
            LOG.warning("not written down: operation %s: %s: %s", operation_id, why, error)

    def end(self, project_id: str, operation_id: str) -> None:
        """It is over, and with it its right to act for the user."""
        try:
            operation = self._records.show(project_id, operation_id)
        except StoreError as error:
            LOG.warning("operation %s: its trust stands until the next operation: %s",
                        operation_id, error)
            return
        if operation.credential.get("grant"):
            self._forget(operation)

    def sweep(self, project_id: str) -> None:
        """What is left of operations that were over when their process was killed."""
        try:
            for with_standing_trust in self._records.with_standing_trusts(project_id):
                self._forget(with_standing_trust)
        except StoreError as error:
            LOG.warning("trusts of earlier operations were not looked for: %s", error)

    def _forget(self, operation: Operation) -> None:
        try:
            self._authority().end(operation.credential)
            self._records.trust_ended(operation.id)
        except (CredentialError, StoreError) as error:
            LOG.warning("operation %s: its trust still stands: %s", operation.id, error)
            self._note(operation.id, f"its trust still stands, and is removed later: {error}")

    def _give_up(self, operation: Operation) -> None:
        try:
            self._authority().end(operation.credential)
        except CredentialError as error:
            if error.transient:
                raise
            self._note(operation.id, f"its trust still stands, until it ends by itself: {error}")

    def _note(self, operation_id: str, text: str) -> None:
        try:
            self._records.note(operation_id, time.time(), text)
        except StoreError as error:
            LOG.warning("not written down: operation %s: %s: %s", operation_id, text, error)
