"""What the operating system says of a disk, in Karbor's words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from karbor.domain.errors import BankError, BankFull, BankReadOnly, BankUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_MAY_PASS = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO, errno.EAGAIN,
             errno.EBUSY, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOTCONN,
             errno.EHOSTDOWN, errno.EHOSTUNREACH}


@contextmanager
def translated(doing: str, *, writing: bool = False) -> Iterator[None]:
    """Raise what an OSError within means for a bank: BankFull, BankReadOnly (only when `writing`),
    BankUnavailable or BankError. `doing` names what was tried and where."""
    try:
        yield
    except OSError as error:
        raise bank_error(error, doing, writing=writing) from error


def bank_error(error: OSError, doing: str, *, writing: bool) -> BankError:
    said = f"cannot {doing}: {error.strerror or error}"
    if error.errno in _FULL:
        return BankFull(said, remedy="make room in the bank, or raise the quota or limit")
    if error.errno in _READ_ONLY and writing:
        return BankReadOnly(said, remedy="mount it for writing, and give its directory to the "
                                         "account that Karbor runs as")
    if error.errno in _READ_ONLY:
        return BankError(said, remedy="give the bank to the account that Karbor runs as")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return BankUnavailable(said, remedy="is the bank's file system mounted?")
    if error.errno in _MAY_PASS:
        return BankUnavailable(said)
    return BankError(said)
