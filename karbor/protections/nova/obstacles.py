"""Why protecting or restoring servers would fail, and what a restore makes: found in bulk, without
touching anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from karbor.domain.resource import NETWORK, Resource
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Obstacle, Target
from karbor.protections.cached_lists import CachedLists
from karbor.protections.neutron.obstacles import quota_obstacles
from karbor.protections.nova.request_bodies import choose_flavor, nearest_flavor
from karbor.protections.nova_input import refused_name

Record = Mapping[str, Any]

FIT = frozenset({"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED", "SHELVED_OFFLOADED"})
"""States of a server whose disks are at rest or can be snapshot as they are."""


def protecting(resources: Sequence[Resource], cloud: Cloud) -> list[Obstacle]:
    lists = CachedLists(cloud)
    obstacles = []
    for resource in resources:
        record = lists.server(resource.id)
        status = str(record["status"]).upper() if record else "gone"
        if status not in FIT:
            obstacles.append(Obstacle(f"server {resource.name or resource.id} is {status}",
                                      "a server must be " + ", ".join(sorted(FIT)).lower(),
                                      resource=resource.key))
    return obstacles


def restoring(resources: Sequence[Resource], target: Target) -> list[Obstacle]:
    lists = CachedLists(target.cloud)
    plans = [
        (resource, target.kept("server", resource), _chosen(resource, target))
        for resource in resources
    ]
    flavors = lists.nova("/flavors/detail", "flavors")
    obstacles: list[Obstacle] = []
    totals = {"instances": 0, "cores": 0, "ram": 0}
    for resource, kept, chosen in plans:
        explicit = str(target.parameters(resource).get("restore_flavor_id") or "")
        flavor = choose_flavor(kept["flavor"], flavors, chosen, explicit)
        if flavor is None:
            obstacles.append(_no_flavor(resource, kept, flavors, explicit, chosen))
        size = flavor or kept["flavor"]
        totals["instances"] += 1
        totals["cores"] += size.get("vcpus", 0)
        totals["ram"] += size.get("ram", 0)
        obstacles += [
            *_name(resource, kept, target),
            *_metadata(resource, kept, lists),
            *_left_out(resource, kept, target),
            *_key_pair(resource, kept, chosen, lists),
            *_zone(resource, kept, chosen, lists),
            *_floating_networks(resource, kept, target, lists),
            *_wanted_network(resource, target, lists),
        ]
    if plans:
        obstacles += [*_limits(totals, lists, plans[0][0].key),
                      *quota_obstacles(lists, target.cloud.project_id, _network_needs(plans, lists),
                                       plans[0][0].key)]
    return obstacles


def _chosen(resource: Resource, target: Target) -> Mapping[str, str]:
    return {**(target.parameters(resource).get("map") or {}), **target.mapping}


def _no_flavor(resource: Resource, kept: Record, flavors: Sequence[Record], explicit: str,
               chosen: Mapping[str, str]) -> Obstacle:
    size = kept["flavor"]
    name = explicit or size.get("original_name") or size.get("id") or ""
    near = nearest_flavor(size, flavors)
    remedy = (f"--map {name}={near['name']}, the nearest one here" if near else
              f"--map {name}=FLAVOR; it had {size.get('vcpus')} VCPUs, {size.get('ram')} MiB of "
              f"memory and {size.get('disk')} GiB of disk")
    what = (
        f"server {resource.name or resource.id} is to get the flavor {chosen[name]} "
        f"instead of {name}"
        if name in chosen
        else f"server {resource.name or resource.id} needs the flavor {name}"
    )
    return Obstacle(f"{what}, which is not here", remedy, str(name), resource.key)


def _new_name(resource: Resource, kept: Record, target: Target) -> str:
    return str(target.parameters(resource).get("restore_name") or kept["name"])


def _name(resource: Resource, kept: Record, target: Target) -> Iterator[Obstacle]:
    name = _new_name(resource, kept, target)
    if why := refused_name(name):
        yield Obstacle(f"Nova does not take the name {name!r} of a server: {why}",
                       f"give another one: --name {resource.id}=NAME", resource=resource.key)


def _metadata(resource: Resource, kept: Record, lists: CachedLists) -> Iterator[Obstacle]:
    """Yield an obstacle where a server may have less metadata here than are kept. A mark needs no
    room of its own: see server_body."""
    most, items = lists.limits().get("maxServerMeta", -1), kept.get("metadata_items", 0)
    if 0 <= most < items:
        yield Obstacle(
            f"server {resource.name or resource.id} has {items} items of metadata, and a server "
            f"may have {most} here",
            "have the quota of metadata items raised",
            resource=resource.key,
        )


def _key_pair(resource: Resource, kept: Record, chosen: Mapping[str, str], lists: CachedLists
              ) -> Iterator[Obstacle]:
    pair = kept["key_pair"]
    if not pair:
        return
    name = chosen.get(pair["name"], pair["name"])
    if not name:
        return              # to be built without one
    there = lists.key_pairs().get(name)
    if there is None:
        yield Obstacle(
            f"server {resource.name or resource.id} needs the key pair {name}, which this user "
            "does not have",
            f"create it, or --map {pair['name']}=KEYPAIR, or "
            f"--map {pair['name']}= to build the server without one",
            pair["name"],
            resource.key,
        )
    elif (pair["name"] not in chosen and pair["fingerprint"]
          and there.get("fingerprint") != pair["fingerprint"]):
        yield Obstacle(f"the key pair {name} of this user holds another key than the one that "
                       f"server {resource.name or resource.id} had",
                       f"to use it all the same: --map {name}={name}", name, resource.key)


def _left_out(resource: Resource, kept: Record, target: Target) -> Iterator[Obstacle]:
    """Yield obstacles in the answers for this server alone; those for all are checked before."""
    pair = kept["key_pair"] or {}
    for old, new in (target.parameters(resource).get("map") or {}).items():
        if not new and old != pair.get("name") and old not in target.mapping:
            yield Obstacle(f"server {resource.name or resource.id} cannot be built without {old}",
                           "only its key pair can be left out", old, resource.key)


def _zone(resource: Resource, kept: Record, chosen: Mapping[str, str], lists: CachedLists
          ) -> Iterator[Obstacle]:
    wanted = kept["zone"]
    if not wanted:
        return
    name = chosen.get(wanted, wanted)
    zones = [zone["zoneName"] for zone in lists.nova("/os-availability-zone",
                                                     "availabilityZoneInfo")
             if zone["zoneState"]["available"]]
    if name not in zones:
        yield Obstacle(
            f"server {resource.name or resource.id} needs the availability zone {name}, which is "
            "not available here",
            f"--map {wanted}=ZONE; there are: " + ", ".join(sorted(zones)),
            wanted,
            resource.key,
        )


def _wanted_network(resource: Resource, target: Target, lists: CachedLists) -> Iterator[Obstacle]:
    wanted = target.parameters(resource).get("restore_net_id")
    if wanted and wanted not in {network["id"] for network in lists.neutron("networks")}:
        yield Obstacle(
            f"server {resource.name or resource.id} is to be on the network {wanted}, which is "
            "not visible here",
            "give the id of another one as restore_net_id",
            resource=resource.key,
        )


def _floating_networks(resource: Resource, kept: Record, target: Target, lists: CachedLists
                       ) -> Iterator[Obstacle]:
    """Yield an obstacle where a released address cannot be replaced: it can only be replaced from
    an external network that is visible."""
    names = {ref["id"]: ref["name"] for topology in target.graph.of_type(NETWORK)
             for ref in target.kept("topology", topology).get("references", ())}
    visible = {name for network in lists.neutron("networks")
               for name in (network["id"], network["name"])}
    chosen = _chosen(resource, target)
    for floating in _released(kept, lists):
        old = floating["network_id"]
        name = names.get(old) or old
        if (chosen.get(old) or chosen.get(name) or old) not in visible:
            yield Obstacle(
                f"the floating address {floating['address']} of server "
                f"{resource.name or resource.id} came from the network {name}, which is not "
                "visible here",
                f"--map {name}=NETWORK",
                name,
                resource.key,
            )


def _released(kept: Record, lists: CachedLists) -> list[Record]:
    """Return the kept floating addresses for which a new one must be allocated."""
    free = {floatingip["floating_ip_address"] for floatingip in lists.neutron("floatingips")
            if not floatingip.get("port_id")}
    return [one for one in kept["floating"] if one["address"] not in free]


def _limits(totals: Mapping[str, int], lists: CachedLists, resource: str) -> Iterator[Obstacle]:
    limits = lists.limits()
    for what, limit, used in (("instances", "maxTotalInstances", "totalInstancesUsed"),
                              ("cores", "maxTotalCores", "totalCoresUsed"),
                              ("ram", "maxTotalRAMSize", "totalRAMUsed")):
        most, now = limits.get(limit, -1), limits.get(used, 0)
        if most >= 0 and now + totals[what] > most:
            word = "MiB of memory" if what == "ram" else what
            yield Obstacle(f"the restore needs {totals[what]} more {word}, and the project may "
                           f"have {most}, of which {now} are used",
                           f"have the quota of {what} raised, or delete servers",
                           resource=resource)


def _network_needs(plans: Sequence[tuple[Resource, Record, Mapping[str, str]]], lists: CachedLists
                   ) -> dict[str, int]:
    idle = {port["id"] for port in lists.neutron("ports") if not port.get("device_id")}
    return {"port": sum(1 for _, kept, _ in plans for port in kept["ports"]
                        if port["id"] not in idle),
            "floatingip": sum(len(_released(kept, lists)) for _, kept, _ in plans)}


def preview(resource: Resource, target: Target) -> list[str]:
    """Return what the restore of one server would make, and where it would differ from the kept
    one."""
    lists = CachedLists(target.cloud)
    kept = target.kept("server", resource)
    parameters = target.parameters(resource)
    flavor = choose_flavor(kept["flavor"], lists.nova("/flavors/detail", "flavors"),
                           _chosen(resource, target),
                           str(parameters.get("restore_flavor_id") or ""))
    name = _new_name(resource, kept, target)
    built = flavor["name"] if flavor else "missing"
    more = len(kept["volumes"]) - (kept["boot"] == "volume")
    lines = [f"create server {name}, flavor {built}, booted from its {kept['boot']}"
             + (f", with {more} more volume{'s' if more > 1 else ''}" if more else "")]
    if flavor:
        lines += [f"{size} of the flavor: {kept['flavor'].get(size)} then, {flavor[size]} now"
                  for size in ("vcpus", "ram", "disk")
                  if kept["flavor"].get(size) not in (None, flavor[size])]
    pair = kept["key_pair"] or {}
    if pair and not _chosen(resource, target).get(pair["name"], pair["name"]):
        lines.append(f"without a key pair: it had {pair['name']}")
    lines += [f"without the metadata {key}, which Nova does not take any more"
              for key in kept.get("metadata_refused", ())]
    lines += _groups_gone(kept, target, lists)
    fresh = any(target.parameters(one).get("new_networks")
                for one in target.graph.of_type(NETWORK))
    # Two networks may well use the same addresses.
    taken = set() if fresh else {
        (one["network_id"], fixed["ip_address"]) for one in lists.neutron("ports")
        if one.get("device_id") for fixed in one["fixed_ips"]}
    for port in kept["ports"]:
        for address in port["addresses"]:
            busy = (port["network_id"], address) in taken
            lines.append(f"port with {address}" + (
                ": in use, so it gets another address and MAC" if busy else ""))
    released = {one["address"] for one in _released(kept, lists)}
    lines += [f"floating address {one['address']}" + (
        ": not free, so another one is allocated" if one["address"] in released else "")
        for one in kept["floating"]]
    return lines


def _groups_gone(kept: Record, target: Target, lists: CachedLists) -> list[str]:
    """Return the security groups of other projects that a port had and that are not visible any
    more."""
    own = {group["id"] for resource in target.graph.of_type(NETWORK)
           for group in target.kept("topology", resource).get("security_groups", ())}
    wanted = {id for port in kept["ports"] for id in port.get("security_groups", ())} - own
    if not wanted:
        return []
    there = {security_group["id"] for security_group in lists.neutron("security-groups")}
    return [f"without the security group {id} of its ports, which is not visible here"
            for id in sorted(wanted - there)]
