"""Why restoring a topology would fail, and what it would make: found without touching anything."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from karbor.domain.errors import CloudNotFound
from karbor.domain.resource import Resource
from karbor.plugin.protection import Obstacle, Target
from karbor.protections.cached_lists import CachedLists
from karbor.protections.neutron.marks import OPTIONAL_KINDS

Record = dict[str, Any]

_KINDS = {"networks": "network", "subnets": "subnet", "routers": "router",
          "security_groups": "security_group", "address_groups": "address_group"}
"""In the summary → as Neutron's quotas say."""


class _Plan:
    """What is there, and what of the kept things would be made."""

    def __init__(self, resource: Resource, target: Target) -> None:
        self.summary = target.kept("topology", resource)
        self.lists: CachedLists = CachedLists(target.cloud)
        self.chosen = {**(target.parameters(resource).get("map") or {}), **target.mapping}
        self.fresh = bool(target.parameters(resource).get("new_networks"))
        self.project_id = target.cloud.project_id
        self.kept = {kind: self.summary.get(kind, []) for kind in _KINDS}
        self.new = {kind: [one for one in self.kept[kind] if self._missing(kind, one)]
                    for kind in _KINDS}

    def _missing(self, kind: str, one: Record) -> bool:
        if kind == "security_groups" and one["name"] == "default":
            return False        # every project has its own, which is used
        if kind == "subnets":
            elsewhere = self.mapped("networks", self._network(one["network_id"]))
            return not elsewhere and (self.fresh or one["id"] not in self.there(kind))
        return (not self.mapped(kind, one)
                and (self.fresh or one["id"] not in self.there(kind)))

    def _network(self, id: str) -> Record:
        return next(network for network in self.summary["networks"] if network["id"] == id)

    def mapped(self, kind: str, one: Record) -> bool:
        wanted = self.chosen.get(one["id"]) or self.chosen.get(one["name"])
        return wanted is not None and any(
            wanted in (each["id"], each["name"]) for each in self.there(kind).values())

    def there(self, kind: str) -> dict[str, Record]:
        try:
            return {one["id"]: one for one in self.lists.neutron(kind.replace("_", "-"))}
        except CloudNotFound:
            if kind not in OPTIONAL_KINDS:
                raise
            return {}

    def networks_for(self, reference: Record) -> list[Record]:
        wanted = (self.chosen.get(reference["id"]) or self.chosen.get(reference["name"])
                  or reference["id"])
        return [network for network in self.lists.neutron("networks")
                if wanted in (network["id"], network["name"])]


def find(resource: Resource, target: Target) -> list[Obstacle]:
    plan = _Plan(resource, target)
    return [*_answers(plan, resource), *_references(plan, resource), *_overlaps(plan, resource),
            *_quotas(plan, resource)]


def _answers(plan: _Plan, resource: Resource) -> Iterator[Obstacle]:
    """Yield networks of the project itself that are to be replaced by one that is not there."""
    for network in plan.summary["networks"]:
        wanted = plan.chosen.get(network["id"]) or plan.chosen.get(network["name"])
        if wanted and not plan.mapped("networks", network):
            yield Obstacle(f"there is no network {wanted} here to be used for {network['name']}",
                           "name one that is visible, or leave that --map out", network["name"],
                           resource.key)


def _references(plan: _Plan, resource: Resource) -> Iterator[Obstacle]:
    gateways = {router["gateway"] for router in plan.new["routers"]}
    for reference in plan.summary["references"]:
        if reference["external"] and reference["id"] not in gateways:
            continue            # only floating addresses need it: their server tells of it
        found = plan.networks_for(reference)
        name = reference["name"] or reference["id"]
        if not found:
            yield Obstacle(f"the network {name}, which belongs to another project, is not visible "
                           "here", f"name the one to use instead: --map {name}=NETWORK", name,
                           resource.key)
        elif len(found) > 1:
            yield Obstacle(f"several networks are called {found[0]['name']}",
                           f"give an id: --map {name}=ID", name, resource.key)


def _overlaps(plan: _Plan, resource: Resource) -> Iterator[Obstacle]:
    """Yield an obstacle where a router that is used again cannot take a subnet whose addresses it
    already routes."""
    made = {subnet["id"]: subnet for subnet in plan.new["subnets"]}
    subnets = plan.there("subnets")
    new_routers = {one["id"] for one in plan.new["routers"]}
    for router in plan.summary["routers"]:
        if router["id"] in new_routers:
            continue
        present = [subnets[fixed["subnet_id"]] for port in plan.lists.neutron("ports")
                   if port.get("device_id") == router["id"]
                   for fixed in port["fixed_ips"] if fixed["subnet_id"] in subnets]
        for id in router["subnets"]:
            clash = [one for one in present if id in made
                     and _overlap(one["cidr"], made[id]["cidr"])]
            if clash:
                yield Obstacle(f"router {router['name']} already routes {clash[0]['cidr']}, which "
                               f"overlaps the kept subnet {made[id]['cidr']}",
                               "take that interface off, or restore with new networks",
                               resource=resource.key)


def _overlap(one: str, other: str) -> bool:
    left, right = ip_network(one), ip_network(other)
    return left.version == right.version and left.overlaps(right)


def _quotas(plan: _Plan, resource: Resource) -> Iterator[Obstacle]:
    needed = {quota: len(plan.new[kind]) for kind, quota in _KINDS.items()}
    needed["security_group_rule"] = sum(
        security_group["rules"] for security_group in plan.new["security_groups"]
    )
    yield from quota_obstacles(plan.lists, plan.project_id, needed, resource.key)


def quota_obstacles(lists: CachedLists, project_id: str, needed: dict[str, int], resource: str
                    ) -> Iterator[Obstacle]:
    """Yield an obstacle for each kind of Neutron's things of which more are needed than may be
    made."""
    if not any(needed.values()):
        return
    quota = lists.network_quota(project_id)
    for kind, count in needed.items():
        limit, used = quota.get(kind, (-1, None))
        if limit >= 0 and count and (used or 0) + count > limit:
            words = kind.replace("_", " ") + "s"
            room = f"{limit}" if used is None else f"{limit}, of which {used} are used"
            yield Obstacle(f"the restore needs {count} more {words}, and the project may have "
                           f"{room}", f"have the quota of {words} raised, or delete some",
                           resource=resource)


def preview(resource: Resource, target: Target) -> list[str]:
    """Return a line for each thing: used again, or made."""
    plan = _Plan(resource, target)
    lines = []
    for kind, word in _KINDS.items():
        new = {one["id"] for one in plan.new[kind]}
        for reference in plan.kept[kind]:
            name = reference.get("name") or reference.get("cidr") or reference["id"]
            lines.append(f"{'create' if reference['id'] in new else 'use again'} "
                         f"{word.replace('_', ' ')} {name}")
    lines += _dropped_rules(plan)
    for reference in plan.summary["references"]:
        lines += [f"use network {found['name'] or found['id']} of another project"
                  for found in plan.networks_for(reference)]
    return lines


def _dropped_rules(plan: _Plan) -> Iterator[str]:
    """Yield, of groups that would be made, the rules that refer to groups of others that are
    gone."""
    for group in plan.new["security_groups"]:
        for kind, ids in group.get("refers_to", {}).items():
            ours = {one["id"] for one in plan.kept[kind]}
            for id in ids:
                if id not in ours and id not in plan.there(kind):
                    yield (f"security group {group['name'] or group['id']}: without the rules "
                           f"that refer to the {_KINDS[kind].replace('_', ' ')} {id}, which is "
                           "not visible here")
