"""Floating addresses: the same one where the project still has it and it is free."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karbor.domain.errors import BadInput
from karbor.plugin.cloud import Api
from karbor.protections.neutron.marks import birth_mark, create, marked

Record = dict[str, Any]


def give_addresses(api: Api, mark: str, kept: Sequence[tuple[Record, Record]], *,
                   networks: Mapping[str, str], chosen: Mapping[str, str], state: Record,
                   tell: Callable[[str, str], None]) -> None:
    """Fill state["floating"] (old id → id) and ["made_floating"]; `kept` pairs each kept port with
    a floating address of it. An address that serves somebody else is never taken away."""
    present = api.list("/floatingips", "floatingips")
    adopted = marked(present, mark)
    for port, old in kept:
        if old["id"] in state["floating"]:
            continue
        target = state["ports"][port["id"]]
        if old["id"] in adopted:
            record = next(one for one in present if one["id"] == adopted[old["id"]])
            made = True
        else:
            found, made = _find(present, old, target), False
            if found is not None and found.get("port_id") not in (None, target):
                tell(f"floating address {old['floating_ip_address']}",
                     f"it serves port {found['port_id']}; another one is allocated")
                found = None
            if found is None:
                found, made = _allocate(api, mark, old, networks, chosen), True
            record = found
        if record["floating_ip_address"] != old["floating_ip_address"]:
            tell(f"floating address {old['floating_ip_address']}",
                 f"it is {record['floating_ip_address']} now")
        if record.get("port_id") != target:
            api.put(f"/floatingips/{record['id']}",
                    {"floatingip": place(old, target, state)})
        state["floating"][old["id"]] = record["id"]
        if made and record["id"] not in state["made_floating"]:
            state["made_floating"].append(record["id"])


def place(old: Record, target: str, state: Record) -> Record:
    """Return where a floating address belongs: on the port `target`, and on which of its addresses.
    Neutron must be told where there are several of IPv4: the kept one, or else the one that came in
    its place."""
    addresses = state["addresses"][target]
    fixed = old["fixed_ip_address"]
    if fixed not in addresses:
        moved = state.get("moved", {}).get(target, {})
        fixed = moved.get(fixed) or next((one for one in addresses if ":" not in one), "")
    return {"port_id": target, **({"fixed_ip_address": fixed} if fixed else {})}


def _find(present: Sequence[Record], old: Record, target: str) -> Record | None:
    """Return the address among the project's: the same allocation, or the same address allocated
    anew."""
    same = [one for one in present if one["id"] == old["id"]
            or one["floating_ip_address"] == old["floating_ip_address"]]
    return next((one for one in same if one.get("port_id") in (None, target)),
                next(iter(same), None))


def _allocate(api: Api, mark: str, old: Record, networks: Mapping[str, str],
              chosen: Mapping[str, str]) -> Record:
    network = networks.get(old["floating_network_id"]) or chosen.get(old["floating_network_id"])
    if network is None:
        raise BadInput(f"the floating address {old['floating_ip_address']} comes from a network "
                       "that is not visible here",
                       remedy=f"--map {old['floating_network_id']}=NETWORK")
    body: Record = {"floating_network_id": network,
                    "description": birth_mark(mark, old["id"])}
    if network == old["floating_network_id"]:
        body["floating_ip_address"] = old["floating_ip_address"]
    record, _ = create(api, "floatingips", body, ("floating_ip_address",))
    return record
