"""Cinder's microversions, as far as the double's answers depend on them."""

from __future__ import annotations

from karbor_testing.openstack.exchange import Request

NEWEST = 71


def microversion(request: Request) -> int:
    """The minor number asked for: `OpenStack-API-Version: volume 3.59` is 59."""
    for part in request.headers.get("openstack-api-version", "").split(","):
        kind, _, number = part.strip().partition(" ")
        if kind == "volume":
            return NEWEST if number == "latest" else int(number.partition(".")[2] or 0)
    return 0


def at_least(request: Request, minor: int) -> bool:
    return microversion(request) >= minor
