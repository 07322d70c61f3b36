"""Delegation: what a caller passes on to an operation, asked while their login is alive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Sealed = Mapping[str, Any]
"""A credential as `Operation.credential` keeps it; nothing in it is a secret in clear."""


class Delegation(Protocol):
    """Of one caller. Keystone never honours an expired token, so whatever must be asked of it as
    the user is asked here, at the start of an operation."""

    def choose(self, needed: float) -> Sealed:
        """Return the credential for an operation that is expected to take so many seconds. Makes
        nothing. Raises NoLastingCredential with the reasons."""

    def grant(self, credential: Sealed) -> Sealed:
        """Make what the credential wants in Keystone (a trust); the credential with what was made.
        Where Keystone refuses it, the next best credential, which wants nothing more.

        Raises Conflict when there is one like it, which is another operation's: `choose` anew then;
        NoLastingCredential when nothing else lasts as long as was needed (nothing has been
        made then), and a transient CredentialError when Keystone could not be heard: then it may
        have been made or not."""

    def wants(self, credential: Sealed) -> str:
        """Return what will stand in Keystone for it, or stands: an id, `wanted`, or nothing."""
