"""DataProtect: Karbor's own REST API, for the commands about what lives in a service."""

from __future__ import annotations

from typing import Any

from keystoneauth1 import exceptions
from keystoneauth1.session import Session

from karbor.clients.error_answers import unanswered
from karbor.credentials.endpoint_settings import EndpointSettings
from karbor.domain.errors import (
    AmbiguousName,
    BadInput,
    CloudError,
    CloudUnavailable,
    Conflict,
    Forbidden,
    KarborError,
    NotFound,
    OverQuota,
    ServiceAbsent,
    UnknownName,
)

SERVICE = "data-protect"
PAGE = 500
_KINDS: dict[int, type[KarborError]] = {
    400: BadInput, 403: Forbidden, 404: NotFound, 409: Conflict, 413: OverQuota, 424: Conflict}


class DataProtect:
    """As one login sees it. Every method raises what the answer says: BadInput, NotFound,
    Forbidden, Conflict, OverQuota; ServiceAbsent where the catalog has no such service, CloudError
    otherwise."""

    def __init__(self, session: Session, endpoint_settings: EndpointSettings) -> None:
        self._session = session
        self._override = endpoint_settings.endpoints.get(SERVICE)
        self._filter = {"service_type": SERVICE, "interface": endpoint_settings.interface,
                        "region_name": endpoint_settings.region_name}

    def get(self, path: str, **query: str) -> Any:
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> Any:
        return self._ask("POST", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        return self._ask("PUT", path, json=body)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def list(self, path: str, key: str, **query: str) -> list[dict[str, Any]]:
        """Return the items of all pages, up to the empty one: an operator may let the API give
        shorter ones."""
        found: list[dict[str, Any]] = []
        while True:
            more = {"marker": str(found[-1]["id"])} if found else {}
            page = self.get(path, limit=str(PAGE), **query, **more)[key]
            found += page
            if not page:
                return found

    def find(self, path: str, key: str, noun: str, name_or_id: str) -> dict[str, Any]:
        """Return the one that bears the name, or has the id. Raises UnknownName, AmbiguousName."""
        listed = self.list(path, key)
        found = ([one for one in listed if one["id"] == name_or_id]
                 or [one for one in listed if one["name"] == name_or_id])
        if not found:
            raise UnknownName(f"this project has no {noun} {name_or_id}")
        if len(found) > 1:
            raise AmbiguousName(f"several {noun}s are called {name_or_id}",
                                remedy="give the id: " + ", ".join(one["id"] for one in found[:8]))
        return found[0]

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._session.request(
                path, method, endpoint_filter=self._filter, endpoint_override=self._override,
                raise_exc=False, headers={"Accept": "application/json"}, **more)
        except exceptions.EndpointNotFound as error:
            raise ServiceAbsent(
                f"this cloud has no service of the type {SERVICE}",
                remedy="schedules live in a Karbor that runs as a service: see "
                       "docs/operators/install.md") from error
        except (exceptions.ConnectionError, OSError) as error:
            raise unanswered(error, SERVICE, f"{method} {path}") from error
        if answer.status_code < 300:
            return answer.json() if answer.content else None
        raise _error(answer, f"{method} {path}")


def _error(answer: Any, request: str) -> KarborError:
    try:
        [told] = answer.json().values()
        message = str(told["message"])
    except (ValueError, AttributeError, TypeError, KeyError):
        message = f"it answers {answer.status_code}"
    kind = _KINDS.get(answer.status_code)
    if kind is not None:
        return kind(message)
    facts = {"service": SERVICE, "request": request, "status": answer.status_code,
             "request_id": answer.headers.get("x-openstack-request-id", "")}
    return (CloudUnavailable if answer.status_code in (502, 503, 504) else CloudError)(
        message, **facts)
