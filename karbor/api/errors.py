"""Errors → HTTP. The only place where they become numbers.

Every answer that is an error has one member, whose value has `code` and `message`:

    {"itemNotFound": {"code": 404, "message": "Plan … could not be found."}}

Clients of Karbor 1.x read the message of whatever comes first.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import falcon
import msgspec

from karbor.domain.errors import (
    BadInput,
    BankError,
    BankUnavailable,
    CloudError,
    CloudForbidden,
    CloudNotFound,
    CloudUnavailable,
    Conflict,
    CredentialError,
    CredentialSuspended,
    Forbidden,
    InUse,
    KarborError,
    KeystoneUnreachable,
    LoginFailed,
    NoLastingCredential,
    NotFound,
    OverQuota,
    QuotaExceeded,
    RequestRefused,
    RightsPending,
    ServiceAbsent,
    StoreError,
    StoreUnavailable,
    TokenRejected,
    TokenUnsettled,
)

LOG = logging.getLogger(__name__)

KEYS: Mapping[int, str] = {
    400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound",
    413: "overLimit", 501: "notImplemented", 503: "serviceUnavailable"}
"""Status → the name of the member; `computeFault` for all others, as in Karbor 1.x."""

_STATUS: Mapping[type, int] = {
    BadInput: 400, NotFound: 404, Forbidden: 403, OverQuota: 413,
    Conflict: 400,      # "wrong state for the action" is a 400 in the contract, not a 409
    InUse: 424,
    CredentialError: 500, LoginFailed: 400, NoLastingCredential: 400, TokenRejected: 401,
    TokenUnsettled: 503, RightsPending: 503, KeystoneUnreachable: 503,
    CredentialSuspended: 503,
    CloudError: 500, CloudUnavailable: 503, CloudForbidden: 403, CloudNotFound: 404,
    RequestRefused: 400, QuotaExceeded: 413,
    ServiceAbsent: 404,     # whoever asks for its things asks for what there is not
    BankError: 500, BankUnavailable: 503,
    StoreError: 500, StoreUnavailable: 503,
    KarborError: 500}

_UNTOLD = (StoreError,)     # their messages name files and servers of the operator's


def status_of(error: BaseException) -> int:
    """The most particular status that the error's family has."""
    return next((_STATUS[family] for family in type(error).__mro__ if family in _STATUS), 500)


def message_of(error: BaseException, request_id: str) -> str:
    """What the caller is told: what happened and what to do; of what is the operator's business,
    where in the log it stands."""
    if isinstance(error, KarborError) and not isinstance(error, _UNTOLD):
        return str(error)
    if status_of(error) == 503:
        return f"Karbor's database does not answer; try again later. (Request {request_id})"
    return f"Karbor has erred; an administrator finds the reason in its log under {request_id}."


def body_of(status: int, message: str) -> dict[str, Any]:
    """The one shape of all errors."""
    # What a client has sent may stand in it: also what cannot be written in UTF-8.
    message = message.encode("utf-8", "backslashreplace").decode()
    fault: dict[str, Any] = {"code": status, "message": message}
    if status == 413:
        fault["retryAfter"] = "0"
    return {KEYS.get(status, "computeFault"): fault}


def rendered(error: BaseException, request_id: str) -> tuple[int, bytes]:
    """Status and body; what is Karbor's own fault goes to the log."""
    status = status_of(error)
    if status >= 500:
        LOG.error("request %s failed: %s", request_id, error, exc_info=error)
    return status, msgspec.json.encode(body_of(status, message_of(error, request_id)))


def handle(request: falcon.Request, response: falcon.Response, error: BaseException,
           _params: Mapping[str, Any]) -> None:
    """Falcon's handler for every exception."""
    request_id = str(request.env.get("openstack.request_id", ""))
    if isinstance(error, falcon.HTTPError):
        status, message = _of_falcon(request, error)
        body = msgspec.json.encode(body_of(status, message))
        response.set_headers(error.headers or {})
    else:
        status, body = rendered(error, request_id)
    response.status = status
    response.data = body
    response.content_type = falcon.MEDIA_JSON
    if status == 413:
        response.set_header("Retry-After", "0")


def _of_falcon(request: falcon.Request, error: falcon.HTTPError) -> tuple[int, str]:
    if isinstance(error, falcon.HTTPMethodNotAllowed):      # v1 knows no 405
        return 404, f"{request.path} cannot be asked with {request.method}."
    if error.status_code == 404:
        return 404, f"The resource {request.path} could not be found."
    phrase = HTTPStatus(error.status_code).phrase
    return error.status_code, error.description or error.title or phrase
