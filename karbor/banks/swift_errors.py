"""What an object service and its account say, in the words of a bank."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from karbor.domain.errors import (
    BankError,
    BankFull,
    BankReadOnly,
    BankUnavailable,
    CloudError,
    CloudForbidden,
    CloudNotFound,
    CloudUnauthorized,
    CredentialError,
    QuotaExceeded,
)

INSUFFICIENT_STORAGE = 507


@contextmanager
def translated(doing: str, *, writing: bool = False) -> Iterator[None]:
    """Raise what a CloudError or CredentialError within means for a bank: BankFull, BankReadOnly
    (only when `writing`, and reading was not refused as well), BankUnavailable or BankError.
    `doing` names what was tried and where."""
    try:
        yield
    except (CloudError, CredentialError) as error:
        raise bank_error(error, doing, writing=writing) from error


def bank_error(error: CloudError | CredentialError, doing: str, *, writing: bool) -> BankError:
    told = f"cannot {doing}: {error.message}"
    if isinstance(error, CloudError) and error.request_id:
        told += f" [{error.request_id}]"
    status = error.status if isinstance(error, CloudError) else None
    if isinstance(error, QuotaExceeded) or status == INSUFFICIENT_STORAGE:
        return BankFull(told, remedy="free something, or raise the quota; an object of Swift has "
                                     "at most 5 GiB")
    if isinstance(error, CloudNotFound):
        return BankUnavailable(told, remedy="is the container still there, and does the endpoint "
                                            "lead to an account of the object service?")
    if isinstance(error, CloudForbidden) and error.request.startswith(("GET ", "HEAD ")):
        # Who may not even read has no read-only bank: usually it is another project's account.
        return BankError(told, remedy="is the container one of the account's own project? An "
                                      "endpoint_override ends with the id of that project "
                                      "(Ceph's RGW: /swift/v1/AUTH_<project id>)")
    if isinstance(error, CloudForbidden) and writing:
        return BankReadOnly(told, remedy="give the bank's account a role that may write (one of "
                                         "Swift's operator_roles)")
    if error.transient:
        return BankUnavailable(told, remedy=error.remedy)
    if isinstance(error, CloudUnauthorized):
        # The account's login renews itself before this is said.
        return BankError(told, remedy="Keystone lets the bank's account log in: give it a role "
                                      "that the object service accepts (Swift: operator_roles, "
                                      "Ceph's RGW: rgw keystone accepted roles)")
    return BankError(told, remedy=error.remedy)
