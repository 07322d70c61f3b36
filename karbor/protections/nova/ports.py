"""The ports of a server that is built again: the kept one where it is still free, else a new one
with the kept addresses where they are free."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from karbor.plugin.cloud import Api
from karbor.protections.neutron.marks import birth_mark, create, marked
from karbor.protections.nova import request_bodies

Record = dict[str, Any]


def make_ports(api: Api, mark: str, ports: Sequence[Record], *,
               maps: Mapping[str, Mapping[str, str]], automatic: Collection[str],
               chosen: Mapping[str, str], state: Record, tell: Callable[[str, str], None]) -> None:
    """Fill state["ports"] (old → new), ["made_ports"], ["addresses"] (port → addresses) and
    ["moved"] (port → kept address → address).

    Addresses that are taken, and fields that policy refuses, are given up one by one and told. A
    port made here outlives the deletion of its server, as every port does that Nova was given.
    """
    present = api.list("/ports", "ports")
    by_id = {one["id"]: one for one in present}
    adopted = marked(present, mark)
    for old in ports:
        if old["id"] in state["ports"]:
            continue
        network = request_bodies.network_of(old, maps, chosen)
        taken = {fixed["ip_address"] for one in present if one["network_id"] == network
                 for fixed in one["fixed_ips"]}
        body, weaker = request_bodies.port(old, birth_mark(mark, old["id"]), maps, chosen,
                                           automatic=automatic, taken=taken)
        original = by_id.get(old["id"])
        if old["id"] in adopted:
            record = by_id[adopted[old["id"]]]
            made = True
        elif (original is not None and not original.get("device_id")
              and original["network_id"] == body["network_id"]):
            record, made = original, False      # it survived its server, and nobody uses it
        else:
            body["security_groups"] = _groups_there(api, old, body["security_groups"], maps, tell)
            record, given_up = create(api, "ports", body, request_bodies.PORT_OPTIONAL, weaker)
            made = True
            for field, why in given_up.items():
                if field not in ("mac_address", "fixed_ips"):
                    tell(f"port {old['name'] or old['id']}: {field}", why)
        _compare(old, record, tell)
        state["ports"][old["id"]] = record["id"]
        state["addresses"][record["id"]] = [
            fixed_ip["ip_address"] for fixed_ip in record["fixed_ips"]
        ]
        state.setdefault("moved", {})[record["id"]] = _moved(old, record, maps.get("subnets", {}))
        if made and record["id"] not in state["made_ports"]:
            state["made_ports"].append(record["id"])


def _groups_there(api: Api, old: Record, wanted: Sequence[str],
                  maps: Mapping[str, Mapping[str, str]], tell: Callable[[str, str], None]
                  ) -> list[str]:
    """Return the port's security groups without those of other projects that are gone: Neutron
    would refuse the whole port."""
    own = set(maps.get("security_groups", {}).values())
    if own.issuperset(wanted):
        return list(wanted)
    there = own | {one["id"] for one in api.list("/security-groups", "security_groups")}
    for one in wanted:
        if one not in there:
            tell(f"port {old['name'] or old['id']}: security group {one}", "it is not visible here")
    return [one for one in wanted if one in there]


def _moved(old: Record, new: Record, subnets: Mapping[str, str]) -> dict[str, str]:
    """Return for each kept address the address of the new port that came in its place, in the same
    subnet."""
    left = list(new["fixed_ips"])
    found: dict[str, str] = {}
    unmoved_first = sorted(old["fixed_ips"], key=lambda one: one["ip_address"] not in {
        each["ip_address"] for each in left})
    for one in unmoved_first:
        there = [each for each in left if each["subnet_id"] == subnets.get(one["subnet_id"])]
        same = [each for each in there if each["ip_address"] == one["ip_address"]]
        if same or there:
            found[one["ip_address"]] = (same or there)[0]["ip_address"]
            left.remove((same or there)[0])
    return found


def _compare(old: Record, new: Record, tell: Callable[[str, str], None]) -> None:
    """Tell how a port differs from its record, so that one adopted after a crash is told of as
    well."""
    name = old["name"] or old["id"]
    if new["mac_address"] != old["mac_address"]:
        tell(f"port {name}: MAC address",
             f"{old['mac_address']} is in use or refused; it is {new['mac_address']} now")
    before = [fixed_ip["ip_address"] for fixed_ip in old["fixed_ips"]]
    now = [fixed_ip["ip_address"] for fixed_ip in new["fixed_ips"]]
    if sorted(before) != sorted(now):
        tell(f"port {name}: fixed address",
             f"{', '.join(before) or 'none'} cannot be had; it is {', '.join(now) or 'none'} now")
