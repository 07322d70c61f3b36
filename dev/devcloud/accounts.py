"""Projects, users and catalog of the cloud, as one document that is put into Keystone at once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dev.devcloud.cloud import Cloud
from dev.devcloud.service import Service
from dev.devcloud.settings import PASSWORD, REGION

# name, project, roles.  `karbor` has what the README tells operators to give it: nothing but the
# role `service`.  `noservice` is the same without the role, for the tests that must be refused.
USERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("demo", "demo", ("member",)),
    ("reader", "demo", ("reader",)),
    ("demo2", "demo2", ("member",)),
    ("karbor", "service", ("service",)),
    ("noservice", "service", ("member",)),
)


def document(services: Iterable[Service], host: str) -> dict[str, Any]:
    """Everything that Keystone has to know for these services."""
    services = list(services)
    users = list(USERS)
    users += [(s.user, "service", ("service", "admin")) for s in services if s.user]
    return {
        "password": PASSWORD,
        "region": REGION,
        "users": users,
        "catalog": [
            {"name": e.name, "type": e.type, "url": e.url.format(host=host)}
            for service in services
            for e in service.endpoints
        ],
    }


def write_clouds_yaml(cloud: Cloud) -> None:
    """One entry per account, for the openstack command, the SDK and Karbor."""
    accounts = {"admin": "admin"} | {name: project for name, project, _ in USERS}
    lines = ["clouds:"]
    for user, project in accounts.items():
        auth = {
            "auth_url": cloud.auth_url,
            "username": user,
            "password": PASSWORD,
            "project_name": project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        lines += [
            f"  {user}:",
            f"    region_name: {REGION}",
            "    identity_api_version: 3",
            "    auth:",
            *(f"      {key}: {json.dumps(value)}" for key, value in auth.items()),
        ]
    text = "\n".join(lines) + "\n"
    if not cloud.state.clouds_yaml.exists() or cloud.state.clouds_yaml.read_text() != text:
        cloud.state.clouds_yaml.write_text(text)
