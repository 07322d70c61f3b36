"""Deleting many objects of Swift with few requests."""

from __future__ import annotations

from collections.abc import Sequence

from karbor.clients.api import ServiceApi
from karbor.domain.errors import CloudError, CloudForbidden, CloudNotFound, CloudUnavailable

AT_ONCE = 1000
"""Objects a request: Swift takes ten thousand, but works on them one after another."""


def delete_many(api: ServiceApi, paths: Sequence[str]) -> None:
    """Remove objects by Swift's bulk middleware; one by one where a cloud does not have it. What is
    absent is no error. Raises CloudError with the first object that could not be deleted."""
    for start in range(0, len(paths), AT_ONCE):
        batch = paths[start:start + AT_ONCE]
        if len(batch) == 1 or not _in_bulk(api, batch):
            for path in batch:
                _single(api, path)


def _single(api: ServiceApi, path: str) -> None:
    try:
        api.patiently(lambda: api.send("DELETE", path))
    except CloudNotFound:
        return


def _in_bulk(api: ServiceApi, paths: Sequence[str]) -> bool:
    """Remove objects with one request. Return False where there is no such middleware (the account
    itself has answered then)."""
    def once() -> bool:
        answer = api.send("POST", "", params={"bulk-delete": "true"},
                          data="\n".join(paths).encode(),
                          headers={"Content-Type": "text/plain", "Accept": "application/json"})
        try:
            told = answer.json()
            status, errors = str(told["Response Status"]), list(told["Errors"])
        except (ValueError, KeyError, TypeError):
            return False
        _check(status, errors, str(answer.headers.get("X-Trans-Id", "")), told)
        return True
    return api.patiently(once)


def _check(status: str, errors: Sequence[Sequence[str]], request_id: str,
           told: dict[str, object]) -> None:
    """Raise what the body of an answer says: its status is always 200."""
    if status.startswith("200") and not errors:
        return
    path, why = errors[0] if errors else ("", f"{status} {told.get('Response Body', '')}")
    which: type[CloudError] = CloudError
    if why.startswith(("401", "403")):
        which = CloudForbidden
    elif why.startswith(("5", "408", "429")) or status.startswith("5"):
        which = CloudUnavailable
    raise which(f"swift could not delete {path}: {why}".rstrip(), service="swift",
                request="POST ?bulk-delete", request_id=request_id,
                status=int(why[:3]) if why[:3].isdigit() else None)
