"""Active credential: one link of the chain in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from karbor.credentials.renewing_login import RenewingLogin
from karbor.credentials.service_token_auth import ServiceTokenAuth
from karbor.domain.errors import TokenRejected


@dataclass(frozen=True, eq=False)
class ActiveCredential:
    """`prove` logs in, or raises CredentialError; `examine` asks Keystone whether what it sends is
    still good, and says why if it is not. Raises CredentialError when Keystone cannot tell.
    `ends` is when the token that it sends now ends, in seconds since the epoch (None: never, or
    there is none yet). `renew` gets a fresh one although this one lives, where it can (else it
    does nothing); raises CredentialError."""

    auth: ServiceTokenAuth | RenewingLogin
    prove: Callable[[], None]
    examine: Callable[[], TokenRejected | None]
    ends: Callable[[], float | None] = lambda: None
    renew: Callable[[], None] = lambda: None
