"""Guard: requests that must not carry a service token.

Cinder lets nobody but Nova end an attachment that is in use (CVE-2023-2088, OSSA-2023-003). It
tells Nova by the service token. A user's request that goes out with Karbor's service token would
be taken for Nova's, and the protection would be gone: a volume could be detached below a running
server. So Karbor attaches and detaches through Nova only, and these requests are refused here,
below every client library, whatever path they came.
"""

from __future__ import annotations

import json
import re
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest

from karbor.domain.errors import CloudForbidden

# /v3/attachments, /v3/{project}/attachments/{id}, …/action. Swift's objects live below /v1/ and
# may bear any name; Nova's collection is called os-volume_attachments.
# Cinder's routes take a format behind the last name (action.json).
_ATTACHMENTS = re.compile(r"/attachments(\.\w+)?(/+[^/]+(/+action(\.\w+)?)?)?/*$")
_VOLUME_ACTION = re.compile(r"/volumes/+[^/]+/+action(\.\w+)?/*$")
_DISARMING = frozenset({"os-detach", "os-terminate_connection", "os-force_detach"})


def refuse_disarming(request: PreparedRequest) -> None:
    """Raise CloudForbidden for a request that would disarm Cinder; it has not been sent then."""
    if "X-Service-Token" not in request.headers:
        return
    path = unquote(urlsplit(request.url or "").path)
    if "/v1/" in path or request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if _ATTACHMENTS.search(path):
        what = f"{request.method} attachments"
    elif _VOLUME_ACTION.search(path) and (named := _actions(request) & _DISARMING):
        what = ", ".join(sorted(named))
    else:
        return
    raise CloudForbidden(
        f"refused to ask Cinder for {what} with a service token: Cinder would take the request "
        "for Nova's and drop its protection of attached volumes",
        service="cinder", request=f"{request.method} {path}",
        remedy="attach and detach through Nova: /servers/{id}/os-volume_attachments")


def _actions(request: PreparedRequest) -> frozenset[str]:
    """Return the members of the body. What cannot be read counts as every disarming one."""
    try:
        body = json.loads(request.body or b"{}")
    except (TypeError, ValueError):
        return _DISARMING
    return frozenset(body) if isinstance(body, dict) else _DISARMING
