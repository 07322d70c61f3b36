"""Service: what must be known of an OpenStack service to speak with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class PolledKind:
    """A kind of thing whose state can be waited for.

    `path` lists all of them (`query` narrows the list; `%(project_id)s` is replaced) with the items
    below `items`; `path`-`one` shows one, below `item` ("" when the body is the thing itself).
    `state` are the members whose change counts as news. `complete`: a list that succeeds has every
    one that exists, so that what it showed, and shows no more after its deletion, is gone.
    """

    path: str
    items: str
    one: str
    item: str
    state: tuple[str, ...] = ("status",)
    query: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True)
class Service:
    """One service of the cloud.

    `types` are its names in catalogs, the best first. `version_path` is appended to an address
    that has no version, so that no discovery is needed. `microversion` is asked for by default and
    lowered to what the cloud offers; `microversion_header` says where. `sdk` is the openstacksdk's
    name of the service.
    """

    name: str
    types: tuple[str, ...]
    version_path: str
    sdk: str
    microversion: str = ""
    microversion_headers: tuple[tuple[str, str], ...] = ()   # header name, prefix of its value
    page: int | None = None     # items to ask for per page, where the default is small
    versioned: str = r"/v\d+(\.\d+)?(/|$)"
    looks: Mapping[str, PolledKind] = field(default_factory=dict)

    def address(self, url: str) -> str:
        """Return the endpoint that paths are relative to, from what a catalog or an operator
        says."""
        plain = url.rstrip("/")
        if re.search(self.versioned, urlsplit(plain).path):
            return plain
        return plain + self.version_path

    def headers(self, microversion: str) -> dict[str, str]:
        if not microversion:
            return {}
        return {name: prefix + microversion for name, prefix in self.microversion_headers}
