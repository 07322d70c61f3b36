"""Nova's microversions, as far as the double's answers depend on them."""

from __future__ import annotations

from karbor_testing.openstack.exchange import Request

NEWEST = 104


def microversion(request: Request) -> int:
    """The minor number asked for: `OpenStack-API-Version: compute 2.96` is 96."""
    for part in request.headers.get("openstack-api-version", "").split(","):
        kind, _, number = part.strip().partition(" ")
        if kind == "compute":
            return _minor(number)
    return _minor(request.headers.get("x-openstack-nova-api-version", "2.1"))


def _minor(number: str) -> int:
    return NEWEST if number == "latest" else int(number.partition(".")[2] or 1)


def at_least(request: Request, minor: int) -> bool:
    return microversion(request) >= minor
