"""Restore target: whether the address that a request names is the Keystone of this cloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from karbor.domain.errors import BadInput

_DEFAULT_PORTS = {"http": 80, "https": 443}
_VERSIONS = frozenset({"v3", "v2.0"})


def must_be_here(target: str | None, token_body: Mapping[str, Any], auth_url: str) -> None:
    """Raises BadInput unless the target is empty, `auth_url`, or an identity endpoint of the
    caller's own catalog, with or without version and default port. A restore that went elsewhere
    than it was asked to would be a lie."""
    if not target:
        return
    there = [auth_url, *_identity_endpoints(token_body)]
    if _plain(target) not in {_plain(address) for address in there if address}:
        known = ", ".join(dict.fromkeys(address for address in there if address))
        raise BadInput(f"Karbor restores into its own cloud only ({known}), and {target} is none "
                       "of its addresses", remedy="leave restore_target out")


def _identity_endpoints(token_body: Mapping[str, Any]) -> Iterable[str]:
    """Public, internal and admin ones of all regions: one Keystone serves them all."""
    for service in (token_body.get("token") or {}).get("catalog") or ():
        if service.get("type") == "identity":
            yield from (
                endpoint["url"]
                for endpoint in service.get("endpoints") or ()
                if endpoint.get("url")
            )


def _plain(address: str) -> tuple[object, ...]:
    """What makes two addresses the same."""
    try:
        parts = urlsplit(address.strip())
        scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
        port = parts.port or _DEFAULT_PORTS.get(scheme)
    except ValueError:      # no address at all
        return (address,)
    if parts.query or parts.fragment or parts.username or not host:
        return (address,)
    path = [part for part in parts.path.split("/") if part]
    if path and path[-1].lower() in _VERSIONS:
        path.pop()
    return scheme, host, port, *path
