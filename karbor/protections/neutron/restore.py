"""Restore of a topology: what still exists is used again, what is missing is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from karbor.domain.errors import BadInput, CloudForbidden, CloudNotFound
from karbor.domain.step import Again, Done, Outcome, Progress
from karbor.plugin.cloud import Api
from karbor.plugin.cosmetics import Cosmetics
from karbor.plugin.protection import Task, Work
from karbor.protections import json_document
from karbor.protections.neutron import marks, request_bodies
from karbor.protections.neutron.router_interfaces import Interfaces
from karbor.protections.neutron.security_group_rules import report_differences, write_rules
from karbor.protections.neutron.undo import undo

Record = dict[str, Any]

PATIENCE = 3.0
"""Seconds after which an entry writes down what it has and comes again."""

MAPPED = ("networks", "subnets", "routers", "security_groups", "address_groups")


class RebuildTopology(Task):
    """Makes what is missing and saves the map old → new.

    An entry begins by listing each kind: what bears the mark was made by an earlier entry, whether
    or not its answer was heard, so nothing is made twice. The marks go only after the complete map
    is in the journal.
    """

    name = "topology"

    def __init__(self, object: str) -> None:
        self.object = object

    def run(self, work: Work) -> Outcome:
        document = json_document.read(work.bank, self.object)
        if work.handle.get("built"):
            return _settle(work, document)
        build = _Build(work, document)
        for phase in (build.groups, build.address_groups, build.references, build.networks,
                      build.subnets, build.routers, build.interfaces, build.rules):
            if not phase():
                return Again(0.0, build.state, Progress(len(build.created), 0, "made",
                                                        "networks are being made"))
        return Again(0.0, {**build.state, "built": True})

    def undo(self, work: Work) -> Outcome:
        return undo(work)


class _Build:
    """One entry. Each phase returns whether it is over; it stops early when time is up."""

    def __init__(self, work: Work, document: Record) -> None:
        handle = work.handle
        self.work = work
        self.document = document
        self.api: Api = work.cloud.api("neutron")
        self.mark = work.mark
        self.fresh = bool(work.parameters.get("new_networks"))
        self.chosen: Mapping[str, str] = work.parameters.get("map") or {}
        self.maps: dict[str, dict[str, str]] = {
            kind: dict(handle.get("maps", {}).get(kind, {})) for kind in MAPPED}
        self.created: list[Record] = [dict(one) for one in handle.get("created", ())]
        self.told: list[Record] = [dict(one) for one in handle.get("not_restored", ())]
        self.over: list[str] = list(handle.get("over", ()))
        self._until: float | None = None
        self._lists: dict[str, list[Record]] = {}
        self._elsewhere: set[str] = set()
        """Kept networks in whose place the user wants another one: it has its own subnets and
        routers."""

    @property
    def state(self) -> Record:
        return {"maps": self.maps, "created": self.created, "not_restored": self.told,
                "over": self.over}

    def groups(self) -> bool:
        existing = self._list("security-groups")
        defaults = [one for one in existing if one["name"] == "default"
                    and one.get("project_id", self.work.cloud.project_id)
                    == self.work.cloud.project_id]
        for old in self.document["security_groups"]:
            if old["name"] == "default" and defaults:
                # Each project has exactly one, which can be neither made nor renamed.
                self.maps["security_groups"][old["id"]] = defaults[0]["id"]
            elif not self._ensure("security-groups", old, request_bodies.group,
                                  request_bodies.GROUP_OPTIONAL):
                return False
        return True

    def address_groups(self) -> bool:
        """Make the address groups of the project that rules refer to; a group of others is used
        where it is. One that cannot be had is told, and so are the rules that go with it."""
        for old in self.document.get("address_groups", ()):
            try:
                if not self._ensure("address-groups", old, request_bodies.address_group, ()):
                    return False
            except (CloudForbidden, CloudNotFound) as error:
                self._tell(f"address group {marks.label(old)}", error.message)
        return True

    def references(self) -> bool:
        """Find networks of others: as mapped by the user, or the same one. One that is not visible
        here matters only to a router that must be made, or to a server."""
        visible = self._list("networks")
        for old in self.document["references"]:
            wanted = self.chosen.get(old["id"]) or self.chosen.get(old["name"]) or old["id"]
            found = [one["id"] for one in visible if wanted in (one["id"], one["name"])]
            if len(found) == 1:
                self.maps["networks"][old["id"]] = found[0]
            if found == [old["id"]]:
                self.maps["subnets"] |= {subnet["id"]: subnet["id"] for subnet in old["subnets"]}
        return True

    def networks(self) -> bool:
        self._elsewhere = {old["id"] for old in self.document["networks"]
                           if self._mapped("networks", old) is not None}
        return all(self._ensure("networks", old, request_bodies.network,
                                request_bodies.NETWORK_OPTIONAL)
                   for old in self.document["networks"])

    def subnets(self) -> bool:
        def body(old: Record, description: str) -> Record:
            return request_bodies.subnet(old, description,
                                         self.maps["networks"][old["network_id"]])
        for old in self.document["subnets"]:
            if old["network_id"] in self._elsewhere:
                network = self.maps["networks"][old["network_id"]]
                same = [subnet["id"] for subnet in self._list("subnets")
                        if subnet["network_id"] == network and subnet["cidr"] == old["cidr"]]
                if same:
                    self.maps["subnets"][old["id"]] = same[0]
            elif not self._ensure("subnets", old, body, request_bodies.SUBNET_OPTIONAL):
                return False
        return True

    def routers(self) -> bool:
        def body(old: Record, description: str) -> Record:
            gateway = (old.get("external_gateway_info") or {}).get("network_id")
            if gateway and gateway not in self.maps["networks"]:
                raise BadInput(f"router {old['name'] or old['id']} has its gateway on the network "
                               f"{gateway}, which is not visible here",
                               remedy=f"name the one to use instead: --map {gateway}=NETWORK",
                               resource=self.work.resource.key)
            return request_bodies.router(old, description, self.maps["networks"])
        return all(self._ensure("routers", old, body, request_bodies.ROUTER_OPTIONAL)
                   for old in self._wanted_routers())

    def _wanted_routers(self) -> list[Record]:
        """Return the routers to make, without those that would be left with no interface."""
        return [old for old in self.document["routers"] if not old["interfaces"] or any(
            interface["network_id"] not in self._elsewhere for interface in old["interfaces"])]

    def interfaces(self) -> bool:
        interfaces = Interfaces(self.api, self.mark, self.maps, self._made)
        def ensure(old: Record) -> None:
            inside = [
                interface
                for interface in old["interfaces"]
                if interface["network_id"] not in self._elsewhere
            ]
            interfaces.ensure({**old, "interfaces": inside}, self.created)
        return self._each("routers", self._wanted_routers(), ensure)

    def rules(self) -> bool:
        def ensure(old: Record) -> None:
            new = self.maps["security_groups"][old["id"]]
            if self._made("security_groups", old["id"]):
                write_rules(self.api, old, new, self.maps, self._tell)
            else:
                report_differences(self._existing("security-groups")[new], old, self.maps,
                                   self._tell)
        return self._each("rules", self.document["security_groups"], ensure)

    def _each(self, what: str, items: list[Record], ensure: Callable[[Record], None]) -> bool:
        """Ensure what has no entry in the maps, once each, as the handle tells. Return whether all
        was reached in time."""
        for old in items:
            name = f"{what} {old['id']}"
            if name not in self.over:
                if self._late():
                    return False
                ensure(old)
                self.over.append(name)
        return True

    def _ensure(self, kind: str, old: Record, body: Callable[[Record, str], Record],
                optional: tuple[str, ...]) -> bool:
        """Put the new id of `old` into the map: the mapped one, the original, one that an earlier
        entry made, or a new one. False when time was up before it."""
        member = kind.replace("-", "_")
        known = self.maps[member]
        if old["id"] in known:
            return True
        existing = self._existing(kind)
        mapped = self._mapped(kind, old)
        if mapped is not None:
            known[old["id"]] = mapped
            return True
        adopted = marks.marked(existing.values(), self.mark).get(old["id"])
        if adopted is None and old["id"] in existing and not self.fresh:
            known[old["id"]] = old["id"]
            return True
        if adopted is None:
            if self._late():
                return False
            record, given_up = marks.create(
                self.api, kind, body(old, marks.birth_mark(self.mark, old["id"])), optional)
            adopted = record["id"]
            for field, why in given_up.items():
                self._tell(f"{member[:-1].replace('_', ' ')} {old['name'] or old['id']}: "
                           + request_bodies.WORDS.get(field, field), why)
        known[old["id"]] = adopted
        self.created.append({"kind": kind, "id": adopted, "name": old["name"], "old": old["id"]})
        return True

    def _mapped(self, kind: str, old: Record) -> str | None:
        """Return what the user wants to be used instead. Names are of all kinds, so an answer
        that fits nothing of this kind was meant for another one."""
        wanted = self.chosen.get(old["id"]) or (self.chosen.get(old["name"]) if old["name"]
                                                else None)
        if kind == "subnets":
            wanted = self.chosen.get(old["id"])
        if wanted is None:
            return None
        found = {one["id"] for one in self._list(kind) if wanted in (one["id"], one["name"])}
        if len(found) > 1:
            raise BadInput(f"{len(found)} {kind.replace('-', ' ')} are called {wanted}",
                           remedy=f"give an id: --map {old['name'] or old['id']}=ID",
                           resource=self.work.resource.key)
        return next(iter(found), None)

    def _made(self, member: str, old: str) -> bool:
        kind = member.replace("_", "-")
        return any(one["kind"] == kind and one["old"] == old for one in self.created)

    def _list(self, kind: str) -> list[Record]:
        if kind not in self._lists:
            self._lists[kind] = marks.list_kind(self.api, kind)
        return self._lists[kind]

    def _existing(self, kind: str) -> dict[str, Record]:
        return {one["id"]: one for one in self._list(kind)}

    def _tell(self, field: str, why: str) -> None:
        one = {"field": field, "why": why}
        if one not in self.told:
            self.told.append(one)

    def _late(self) -> bool:
        """Return whether the entry has lasted long enough. Asked before each piece of work; never
        true for the first, so that every entry gets on however slow the lists were."""
        if self._until is None:
            self._until = time.monotonic() + PATIENCE
        return self.work.stopping or time.monotonic() > self._until


def _settle(work: Work, document: Record) -> Outcome:
    """Put the original descriptions, tags and routes in place of the marks: idempotent, in any
    order."""
    api = work.cloud.api("neutron")
    handle = work.handle
    originals = {one["id"]: one for member in MAPPED for one in document.get(member, ())}
    cosmetics = Cosmetics(work, handle["not_restored"])
    until = time.monotonic() + PATIENCE
    for number, one in enumerate(handle["created"]):
        if number < handle.get("settled", 0):
            continue
        if time.monotonic() > until or work.stopping:
            return Again(0.0, {**handle, "settled": number,
                               "not_restored": cosmetics.not_restored})
        if one["kind"] == "ports":          # a router's own port: nothing was said of it
            marks.settle(api, "ports", one["id"], {"id": one["id"]}, cosmetics)
        elif one["kind"] == "routers":
            _settle_router(api, one["id"], originals[one["old"]], cosmetics)
        elif one["kind"] != "interfaces":
            marks.settle(api, one["kind"], one["id"], originals[one["old"]], cosmetics)
        if cosmetics.postponed:
            return cosmetics.again({**handle, "settled": number,
                                    "not_restored": cosmetics.not_restored})
    return Done({**{kind: dict(handle["maps"].get(kind, {})) for kind in MAPPED},
                 "created": [{key: one[key] for key in ("kind", "id", "name")}
                             for one in handle["created"]],
                 "not_restored": cosmetics.not_restored})


def _settle_router(api: Api, id: str, original: Record, cosmetics: Cosmetics) -> None:
    """Give a router its original fields. Routes are refused when their next hop is on no subnet of
    the router, as when it has its gateway on another network now."""
    marks.settle(api, "routers", id, original, cosmetics)
    routes = original.get("routes")
    if routes:
        cosmetics.request(f"router {marks.label(original)}: routes", lambda: api.put(
            f"/routers/{id}", {"router": {"routes": routes}}))
