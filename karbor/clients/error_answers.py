"""What a service's error answer means: one place that turns HTTP into the errors of the domain."""

from __future__ import annotations

import json
import re
from typing import Any

import requests

from karbor.credentials.connection_faults import fault
from karbor.domain.errors import (
    CloudBadRequest,
    CloudConflict,
    CloudError,
    CloudForbidden,
    CloudNotFound,
    CloudUnauthorized,
    CloudUnavailable,
    QuotaExceeded,
)

_LONGEST = 300
_MARKUP = re.compile(r"<(title|head|style).*?</\1>|<[^>]+>", re.DOTALL | re.IGNORECASE)


def answered(response: requests.Response, service: str, request: str) -> CloudError:
    """Return the error for an answer of 300 and above. `request` is its method and path."""
    status = response.status_code
    words, kind = said(response)
    lowered = f"{words} {kind}".lower()
    which: type[CloudError]
    remedy = ""
    if status == 413 or (status in (400, 403, 409) and ("quota" in lowered
                                                        or "overlimit" in lowered)):
        which, remedy = QuotaExceeded, "free something, or ask the operator for more"
    elif status == 401:
        which = CloudUnauthorized
    elif status == 403:
        which = CloudForbidden
    elif status in (404, 410):
        which = CloudNotFound
    elif status in (409, 412):
        which = CloudConflict
    elif status in (400, 422):
        which = CloudBadRequest
    elif status in (408, 425, 429) or status >= 500:
        which = CloudUnavailable
    else:
        which = CloudError
    return which(f"{service} answered {status}: {words or response.reason or 'without a word'}",
                 service=service, request=request, request_id=request_id(response), status=status,
                 remedy=remedy)


def unanswered(error: Exception, service: str, request: str) -> CloudError:
    """Return the error for a request that got no answer."""
    if (found := fault(error)) is not None:
        which = CloudUnavailable if found.transient else CloudError
        return which(f"{service} {found.what}", service=service, request=request,
                     remedy=found.remedy)
    words = " ".join(str(error).split())[:_LONGEST]
    return CloudUnavailable(f"{service} does not answer: {words}", service=service,
                            request=request)


def request_id(response: requests.Response) -> str:
    """Return what finds the request in the service's log."""
    headers = response.headers
    return str(headers.get("x-openstack-request-id") or headers.get("x-compute-request-id")
               or headers.get("x-trans-id") or "")


def said(response: requests.Response) -> tuple[str, str]:
    """Return what the service says went wrong, and its name for that. Each wraps it in its own
    way: {"badRequest": {"message"}}, {"NeutronError": {"message", "type"}}, {"title",
    "description"}, a page of HTML."""
    text = response.text if response.content else ""
    try:
        body = json.loads(text)
    except ValueError:
        return _short(text), ""
    if not isinstance(body, dict):
        return _short(str(body)), ""
    if "description" in body:
        return _short(str(body["description"])), str(body.get("title", ""))
    for kind, inner in body.items():
        if isinstance(inner, dict) and ("message" in inner or "type" in inner):
            return _short(str(inner.get("message", ""))), f"{kind} {inner.get('type', '')}"
    return _short(_first_text(body)), ""


def _first_text(body: dict[str, Any]) -> str:
    return str(body.get("message") or next(iter(body.values()), ""))


def _short(text: str) -> str:
    line = " ".join(_MARKUP.sub(" ", text).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST - 1] + "…"
