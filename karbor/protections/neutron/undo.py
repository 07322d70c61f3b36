"""Removal of what a restore of a topology made, and of nothing else."""

from __future__ import annotations

from typing import Any

from karbor.domain.errors import CloudConflict, CloudNotFound
from karbor.domain.step import Again, Done, Outcome, Progress, Wait
from karbor.plugin.cloud import Api
from karbor.plugin.protection import Work
from karbor.protections.neutron.marks import list_kind, marked
from karbor.protections.neutron.topology import INTERFACES

Record = dict[str, Any]

ORDER = ("routers", "ports", "subnets", "networks", "security-groups", "address-groups")
PAUSE = 2.0     # seconds until something that is still used is tried again


def undo(work: Work) -> Outcome:
    """Remove what the restore has made. Things are known by the handle, or by their mark when
    the handle came too late. What is still in use (a server's port that is going away) is tried
    again."""
    api = work.cloud.api("neutron")
    made: dict[str, set[str]] = {kind: set() for kind in ORDER}
    for one in work.handle.get("created", ()):
        if one["kind"] in made:
            made[one["kind"]].add(one["id"])
    if not work.handle.get("built"):
        for kind in ORDER:
            made[kind].update(marked(list_kind(api, kind), work.mark).values())
    if not any(made.values()):
        return Done()
    try:
        _leave_subnets(api, made)
        for kind in ORDER:
            for id in sorted(made[kind]):
                api.delete(f"/{kind}/{id}")
    except CloudConflict as error:
        return Again(PAUSE, progress=Progress(text=f"still in use: {error.message}"), wait=Wait(
            f"networks to be deletable: {error.message}", "removal"))
    return Done()


def _leave_subnets(api: Api, made: dict[str, set[str]]) -> None:
    """Take routers off subnets where either was made here; routes over them go first."""
    places = [(port["device_id"], port["id"]) for port in api.list("/ports", "ports")
              if port["device_owner"] in INTERFACES
              and (port["device_id"] in made["routers"]
                   or any(fixed["subnet_id"] in made["subnets"] for fixed in port["fixed_ips"]))]
    for router in sorted({router for router, _ in places} & made["routers"]):
        api.put(f"/routers/{router}", {"router": {"routes": []}})
    for router, port in places:
        try:
            api.put(f"/routers/{router}/remove_router_interface", {"port_id": port})
        except CloudNotFound:
            continue        # an earlier entry of this undo did it
