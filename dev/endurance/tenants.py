"""Tenants: each with a project, a user with a password and the role member, and an application."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml
from openstack.connection import Connection

from dev.devcloud.settings import PASSWORD, REGION
from dev.endurance.place import PREFIX, Place


@dataclass(frozen=True)
class Tenant:
    """The user and the project have the same name; so has an entry of the run's clouds.yaml."""

    name: str


def make(place: Place, count: int) -> list[Tenant]:
    """Accounts in Keystone, and a clouds.yaml in `place.own` with their passwords."""
    tenants = [Tenant(f"{PREFIX}{number:02}") for number in range(1, count + 1)]
    with place.connect("admin", "admin") as admin:
        member = admin.identity.find_role("member")
        for one in tenants:
            project = admin.identity.create_project(name=one.name, domain_id="default")
            user = admin.identity.create_user(name=one.name, password=PASSWORD,
                                              domain_id="default")
            admin.identity.assign_project_role_to_user(project, user, member)
    _write_clouds(place, tenants)
    return tenants


def remaining(admin: Connection) -> list[Tenant]:
    """Those of this run, or of an earlier one that was cut off."""
    return [Tenant(one.name) for one in admin.identity.projects(domain_id="default")
            if one.name.startswith(PREFIX)]


def trusts(place: Place) -> list[str]:
    """Ids of those that tenants gave to Karbor's account and that still stand."""
    with place.connect("admin", "admin") as admin:
        ours = {one.id for one in admin.identity.projects() if one.name.startswith(PREFIX)}
    with place.connect("karbor", "service") as karbor:
        user = karbor.current_user_id
        answer = karbor.session.get(f"{place.auth_url}/OS-TRUST/trusts",
                                    params={"trustee_user_id": user})
        return [one["id"] for one in answer.json()["trusts"] if one["project_id"] in ours]


def remove(admin: Connection) -> None:
    """The accounts; what their projects hold must be gone already."""
    for user in list(admin.identity.users(domain_id="default")):
        if user.name.startswith(PREFIX):
            admin.identity.delete_user(user)
    for project in list(admin.identity.projects(domain_id="default")):
        if project.name.startswith(PREFIX):
            admin.identity.delete_project(project)


def _write_clouds(place: Place, tenants: Sequence[Tenant]) -> None:
    entries = {one.name: {"region_name": REGION, "identity_api_version": 3, "auth": {
        "auth_url": place.auth_url, "username": one.name, "password": PASSWORD,
        "project_name": one.name, "user_domain_name": "Default",
        "project_domain_name": "Default"}} for one in tenants}
    (place.own / "clouds.yaml").write_text(yaml.safe_dump({"clouds": entries}))
