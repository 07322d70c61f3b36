"""The service's entry in Keystone, as an operator makes it."""

from __future__ import annotations

from typing import Any

from keystoneauth1 import loading
from keystoneauth1.session import Session

from dev.service.place import Place

TYPE = "data-protect"
INTERFACES = ("public", "internal", "admin")


def register(place: Place) -> bool:
    """One service with the endpoints of this place; whether anything had to be changed."""
    entry = place.account("admin")
    auth = loading.get_plugin_loader("password").load_from_options(**entry["auth"])
    session = Session(auth=auth)
    keystone = entry["auth"]["auth_url"].rstrip("/")
    region, url = entry["region_name"], f"{place.url}/v1/$(project_id)s"

    def listed(what: str, **query: str) -> list[dict[str, Any]]:
        return list(session.get(f"{keystone}/{what}", params=query).json()[what])

    services = listed("services", type=TYPE)
    wanted = {(interface, region, url) for interface in INTERFACES}
    if len(services) == 1 and {
            (one["interface"], one["region_id"], one["url"])
            for one in listed("endpoints", service_id=services[0]["id"])} == wanted:
        return False
    for one in services:        # two of one type make a catalog ambiguous
        session.delete(f"{keystone}/services/{one['id']}")
    made = session.post(f"{keystone}/services", json={"service": {
        "type": TYPE, "name": "karbor", "description": "Data protection"}}).json()["service"]
    for interface, where, address in sorted(wanted):
        session.post(f"{keystone}/endpoints", json={"endpoint": {
            "service_id": made["id"], "interface": interface, "region_id": where,
            "url": address}})
    return True
