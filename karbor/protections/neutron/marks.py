"""How things of Neutron bear a mark: in their description, from the request that makes them.

Every kind that is made here has a description (the extension standard-attr-description, in
every Neutron since Newton), it is written by the creating transaction itself, and any member may
set it. Tags are no carrier: Neutron 29, which announces the extension tag-creation, refuses them in
the creating request of a network ("Attribute 'tags' not allowed in POST"). When all is made,
`settle` writes the original description and tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from karbor.domain.errors import CloudError, CloudForbidden, CloudNotFound, RequestRefused
from karbor.plugin.cloud import Api
from karbor.plugin.cosmetics import Cosmetics

Record = dict[str, Any]

OPTIONAL_KINDS = frozenset({"address_groups"})
"""What not every Neutron has."""


def birth_mark(mark: str, old: str) -> str:
    """Return the description of a thing being made in place of `old`."""
    return f"{mark} {old}"


def marked(items: Iterable[Record], mark: str) -> dict[str, str]:
    """Return, of listed things, those that bear the mark: old id → id."""
    prefix = mark + " "
    return {one["description"].removeprefix(prefix): one["id"] for one in items
            if (one.get("description") or "").startswith(prefix)}


def list_kind(api: Api, kind: str) -> list[Record]:
    """Return all things of one kind (`security-groups`) that the project sees; none of one that
    this Neutron does not know."""
    try:
        return api.list(f"/{kind}", kind.replace("-", "_"))
    except CloudNotFound:
        if kind.replace("-", "_") not in OPTIONAL_KINDS:
            raise
        return []


def settle(api: Api, kind: str, id: str, original: Record, cosmetics: Cosmetics, *,
           also: Record | None = None) -> None:
    """Give a made thing its original description and tags. Idempotent; a refusal is reported.
    `also` are fields without which Neutron refuses a new description."""
    singular = kind.removesuffix("s").replace("-", "_")
    name = f"{singular.replace('_', ' ')} {label(original)}"
    body = {"description": original.get("description") or "", **(also or {})}
    cosmetics.request(f"{name}: description", lambda: api.put(f"/{kind}/{id}", {singular: body}),
                      "it still bears Karbor's mark")
    if original.get("tags"):
        cosmetics.request(f"{name}: tags", lambda: api.put(
            f"/{kind}/{id}/tags", {"tags": list(original["tags"])}))


def label(record: Record) -> str:
    """Return the name by which people know the thing."""
    return str(record.get("name") or record.get("floating_ip_address") or record.get("cidr")
               or record["id"])


def create(api: Api, kind: str, body: Record, optional: Sequence[str] = (),
           weaker: Mapping[str, Any] | None = None) -> tuple[Record, dict[str, str]]:
    """Create one thing. Where policy or the state of the cloud refuses it, try again without an
    optional field (`a` or `a.b`): the one that the refusal names, else the first that is left
    (not when something is said to be missing: that must be named). `weaker` has a second value to
    try for a field before it is left out.

    A refusal makes nothing, so trying again cannot double anything. Returns the record and which
    fields were given up, with the reason. Raises the refusal when no optional field is left.
    """
    singular = kind.removesuffix("s").replace("-", "_")
    second = dict(weaker or {})
    given_up: dict[str, str] = {}
    while True:
        try:
            record: Record = api.post(f"/{kind}", {singular: body})[singular]
            return record, given_up
        except (CloudForbidden, RequestRefused, CloudNotFound) as error:
            field = _to_give_up(body, optional, error)
            if field is None:
                raise
            # The rules of a policy tell a person nothing.
            given_up.setdefault(field, "the cloud's policy does not let this user choose it"
                                if isinstance(error, CloudForbidden) else error.message)
            body = ({**body, field: second.pop(field)} if field in second
                    else _without(body, field))


def _to_give_up(body: Record, optional: Sequence[str], error: CloudError) -> str | None:
    """Return the optional field that a refusal is about. Refusals name the field (policy) or its
    value (an address in use)."""
    present = [field for field in optional if _has(body, field)]
    named = [field for field in present if field.rpartition(".")[2] in error.message
             or any(leaf in error.message for leaf in _leaves(_value(body, field)))]
    if isinstance(error, CloudNotFound):    # a zone or QoS policy that is gone, or what it is on
        present = []
    return next(iter(named + present), None)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str) and len(value) > 4:       # long enough to mean something
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)


def _value(body: Record, field: str) -> Any:
    outer, _, inner = field.partition(".")
    return body[outer][inner] if inner else body[outer]


def _has(body: Record, field: str) -> bool:
    outer, _, inner = field.partition(".")
    return outer in body and (not inner or inner in body[outer])


def _without(body: Record, field: str) -> Record:
    outer, _, inner = field.partition(".")
    if not inner:
        return {key: value for key, value in body.items() if key != outer}
    return {**body, outer: {key: value for key, value in body[outer].items() if key != inner}}
