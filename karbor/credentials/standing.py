"""Standing: one rung of the ladder in action."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from karbor.credentials.vouched import VouchedAuth
from karbor.domain.errors import TokenRejected


@dataclass(frozen=True, eq=False)
class Standing:
    """`prove` logs in, or raises CredentialError; `examine` asks Keystone whether what it sends is
    still good, and says why if it is not. Raises CredentialError when Keystone cannot tell."""

    auth: VouchedAuth
    prove: Callable[[], None]
    examine: Callable[[], TokenRejected | None]
