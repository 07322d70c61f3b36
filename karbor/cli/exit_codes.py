"""Exit codes: what a script may rely upon. The only place where errors become numbers.

    0    done
    1    the operation was begun and did not succeed (what it had made was removed);
         the doctor: something is broken for an operation of --hours; config check: something is
    2    what was asked for cannot be done as it was asked; nothing has been touched
    3    no credential: login refused, Keystone unreachable, [service_user] unfit, or none that
         lasts long enough
    4    a service of the cloud answered with an error; nothing has been begun
    5    the bank: full, read-only, unreachable, damaged, or of a newer format; also of an operation
         that was begun and ended by it
    6    the thing exists, but its state forbids it now (somebody else works on it)
    7    the database of operations
    70   a fault of Karbor itself
    130  interrupted (Ctrl-C, SIGTERM); what was begun can be resumed
"""

from __future__ import annotations

from collections.abc import Mapping

from karbor.domain import errors
from karbor.domain.errors import (
    BadInput,
    BankError,
    CloudError,
    Conflict,
    CredentialError,
    KarborError,
    NotFound,
    StoreError,
)

DONE = 0
FAILED = 1
USAGE = 2
CREDENTIALS = 3
CLOUD = 4
BANK = 5
CONFLICT = 6
STORE = 7
FAULT = 70
INTERRUPTED = 130

_CODES: Mapping[type, int] = {
    BadInput: USAGE, NotFound: USAGE, CredentialError: CREDENTIALS, CloudError: CLOUD,
    BankError: BANK, Conflict: CONFLICT, StoreError: STORE, KarborError: FAILED}


def code_of(error: BaseException) -> int:
    """Return the most particular code that the error's family has."""
    for family in type(error).__mro__:
        if family in _CODES:
            return _CODES[family]
    return FAULT


def of_failed(error: str) -> int:
    """Return the code of an operation that was begun and ended by the error of this name."""
    family = getattr(errors, error, KarborError)
    return BANK if issubclass(family, BankError) else FAILED
