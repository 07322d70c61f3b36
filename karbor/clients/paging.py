"""Pages: every item of a collection, whichever way the service cuts it into pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from karbor.domain.errors import CloudError

Page = list[dict[str, Any]]


def pages(get: Callable[[Mapping[str, Any]], Any], key: str, query: Mapping[str, Any],
          service: str) -> Iterator[Page]:
    """Ask for page after page.

    Cinder, Nova, Neutron and Manila link the next one in `{key}_links`, Trove in `links`, Glance
    and Barbican in `next`; Swift has the last name as marker (`key` is empty then). Of a link only
    the query is used: behind proxies its host may be one that nobody can reach. Raises CloudError
    when the answer has no such collection, or a service sends in circles.
    """
    seen: list[Mapping[str, Any]] = []
    asked: Mapping[str, Any] | None = query
    while asked is not None:
        if asked in seen:
            raise CloudError(f"{service} lists its pages in a circle", service=service)
        seen.append(asked)
        body = get(asked)
        items = body.get(key) if key and isinstance(body, Mapping) else body
        if not isinstance(items, list):
            raise CloudError(f"the answer of {service} has no list {key!r}", service=service)
        yield items
        asked = _next(body, key, items, query)


def _next(body: Any, key: str, items: Page, query: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not items:
        return None
    if not key:
        last = items[-1]
        return {**query, "marker": last.get("name") or last.get("subdir")}
    link = body.get("next")
    for one in body.get(f"{key}_links") or body.get("links") or ():
        if one.get("rel") == "next":
            link = one.get("href")
    if not isinstance(link, str):
        return None
    return {**query, **dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))}
