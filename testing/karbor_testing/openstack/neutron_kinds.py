"""Neutron's kinds: what their records hold, and how a list of them is filtered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.service import Part, page, route


@dataclass(frozen=True)
class Kind:
    """`plural` as in a body; its path has dashes. `defaults` are the members a request may set."""

    plural: str
    noun: str                       # as errors name it
    defaults: Mapping[str, Any]
    fixed: frozenset[str] = frozenset()     # not to be changed after creation
    tags: bool = True

    @property
    def path(self) -> str:
        return self.plural.replace("_", "-")

    @property
    def singular(self) -> str:
        return self.plural.removesuffix("s")

    @property
    def store(self) -> str:
        return f"neutron.{self.singular}"


class Collection(Part):
    """One kind's routes. Heirs say what creating, changing and removing mean."""

    kind: Kind

    def routes(self) -> Iterator[tuple[str, re.Pattern[str], Callable[..., Answer]]]:
        for method, pattern, function in super().routes():
            yield method, re.compile(pattern.pattern.replace("KIND", self.kind.path)), function

    def fill(self, request: Request, wanted: dict[str, Any]) -> Record:
        """The record to be created: checks, then values that Neutron finds itself."""
        raise NotImplementedError

    def created(self, request: Request, record: Record) -> None:
        """What follows from the creation."""

    def changing(self, request: Request, record: Record, wanted: dict[str, Any]) -> None:
        """Checks and consequences of a change, before it is written."""

    def removing(self, request: Request, record: Record) -> None:
        """Checks and consequences of the removal. Raises Refusal(409)."""

    def view(self, record: Record) -> dict[str, Any]:
        return {name: value for name, value in record.items()
                if not name.startswith("_")} | {
                    "project_id": record["_project"], "tenant_id": record["_project"]}

    def add(self, request: Request, wanted: dict[str, Any]) -> Record:
        unknown = set(wanted) - set(self.kind.defaults) - {"project_id", "tenant_id", "tags", "id"}
        need(not unknown, 400, f"Attribute(s) '{', '.join(sorted(unknown))}' not recognized")
        used = sum(1 for one in self.all() if one["_project"] == request.project_id)
        need(not self.cloud.over_quota(f"neutron.{self.kind.singular}", 1, used), 409,
             f"Quota exceeded for resources: ['{self.kind.singular}'].", "OverQuota")
        now = self.cloud.stamp(form="%Y-%m-%dT%H:%M:%SZ")
        record = {**self.kind.defaults, **wanted}
        record = self.fill(request, record)
        for name in ("project_id", "tenant_id"):
            record.pop(name, None)
        record |= {"id": self.cloud.new_id(), "created_at": now, "updated_at": now,
                   "revision_number": 1}
        if self.kind.tags:
            record["tags"] = sorted(set(wanted.get("tags") or ()))
        owner = wanted.get("project_id") or wanted.get("tenant_id") or request.project_id
        need(owner == request.project_id or request.admin, 403,
             f"(rule:create_{self.kind.singular}) is disallowed by policy", "PolicyNotAuthorized")
        record["_public"] = bool(record.get("shared") or record.get("router:external"))
        made = self.cloud.add(self.kind.store, record, owner)
        self.created(request, made)
        return made

    def all(self) -> list[Record]:
        return list(self.cloud.kinds[self.kind.store].values())

    def get(self, request: Request, id: str) -> Record:
        try:
            return self.own(self.kind.store, id, request, self.kind.noun)
        except Refusal as refusal:
            raise Refusal(404, refusal.message, f"{self.kind.noun.replace(' ', '')}NotFound"
                          ) from refusal

    def mine(self, request: Request, id: str) -> Record:
        found = self.get(request, id)
        need(found["_project"] == request.project_id or request.admin, 403,
             f"(rule:update_{self.kind.singular}) is disallowed by policy", "PolicyNotAuthorized")
        return found

    @route("POST", "/v2.0/KIND")
    def create(self, request: Request) -> Answer:
        body = request.json()
        if self.kind.plural in body:        # all or none
            before = len(self.cloud.ledger)
            made: list[Record] = []
            try:
                made.extend(self.add(request, dict(one)) for one in body[self.kind.plural])
            except Refusal:
                for one in self.cloud.ledger[before:]:
                    self.cloud.kinds[one["kind"]].pop(one["id"], None)
                del self.cloud.ledger[before:]
                raise
            return Answer(201, {self.kind.plural: [self.view(one) for one in made]})
        record = self.add(request, dict(request.member(self.kind.singular)))
        return Answer(201, {self.kind.singular: self.view(record)})

    @route("GET", "/v2.0/KIND")
    def listing(self, request: Request) -> Answer:
        self.listed(request)
        everything = [one for one in self.all() if request.admin or one.get("_public")
                      or one["_project"] == request.project_id]
        found = [one for one in map(self.view, everything) if fits(one, request.query)]
        body = page(found, request, self.kind.plural, most=self.cloud.settings.page_of("network"))
        if wanted := request.query.get("fields"):
            body[self.kind.plural] = [{name: one[name] for name in wanted if name in one}
                                      for one in body[self.kind.plural]]
        return Answer(200, body)

    def listed(self, request: Request) -> None:
        """Called before a list is made."""

    @route("GET", "/v2.0/KIND/{id}")
    def show(self, request: Request, id: str) -> Answer:
        return Answer(200, {self.kind.singular: self.view(self.get(request, id))})

    @route("PUT", "/v2.0/KIND/{id}")
    def update(self, request: Request, id: str) -> Answer:
        record = self.mine(request, id)
        wanted = request.member(self.kind.singular)
        bad = set(wanted) - set(self.kind.defaults) | set(wanted) & self.kind.fixed
        need(not bad, 400, f"Cannot update read-only attribute {', '.join(sorted(bad))}")
        self.changing(request, record, wanted)
        record.update(wanted, updated_at=self.cloud.stamp(form="%Y-%m-%dT%H:%M:%SZ"),
                      revision_number=record["revision_number"] + 1)
        return Answer(200, {self.kind.singular: self.view(record)})

    @route("DELETE", "/v2.0/KIND/{id}")
    def delete(self, request: Request, id: str) -> Answer:
        record = self.mine(request, id)
        self.removing(request, record)
        self.cloud.remove(self.kind.store, id)
        return Answer(204)

    @route("GET", "/v2.0/KIND/{id}/tags")
    def tags(self, request: Request, id: str) -> Answer:
        return Answer(200, {"tags": self.get(request, id)["tags"]})

    @route("PUT", "/v2.0/KIND/{id}/tags")
    def set_tags(self, request: Request, id: str) -> Answer:
        record = self.mine(request, id)
        record["tags"] = sorted(set(request.json()["tags"]))
        return Answer(200, {"tags": record["tags"]})

    @route("PUT", "/v2.0/KIND/{id}/tags/{tag}")
    def tag(self, request: Request, id: str, tag: str) -> Answer:
        record = self.mine(request, id)
        record["tags"] = sorted({*record["tags"], tag})
        return Answer(201)

    @route("DELETE", "/v2.0/KIND/{id}/tags")
    @route("DELETE", "/v2.0/KIND/{id}/tags/{tag}")
    def untag(self, request: Request, id: str, tag: str = "") -> Answer:
        record = self.mine(request, id)
        need(not tag or tag in record["tags"], 404, f"Tag {tag} could not be found.",
             "TagNotFound")
        record["tags"] = [one for one in record["tags"] if tag and one != tag]
        return Answer(204)


def fits(one: Mapping[str, Any], query: Mapping[str, Sequence[str]]) -> bool:
    """Whether a record passes the filters of a list request, as Neutron reads them."""
    tags = set(one.get("tags", ()))
    for name, values in query.items():
        wanted = set(values[-1].split(","))
        if name == "tags":
            passes = wanted <= tags
        elif name == "tags-any":
            passes = bool(wanted & tags)
        elif name == "fixed_ips":
            pairs = [value.partition("=") for value in values]
            passes = any(all(str(fixed.get(key)) == value for key, _, value in pairs)
                         for fixed in one["fixed_ips"])
        elif isinstance(one.get(name), list):
            passes = bool(set(values) & set(map(str, one[name])))
        else:
            passes = name not in one or str(one[name]).lower() in map(str.lower, values)
        if not passes:
            return False
    return True

