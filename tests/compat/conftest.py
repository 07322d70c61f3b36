"""python-karborclient and karbor-dashboard, as they are, on Karbor as a service of the cloud."""

from __future__ import annotations

import contextlib
import pathlib
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.cloud.conftest import Cloud
from tests.cloud.somebody import Somebody, new_somebody
from tests.compat.clients import Clients, Person
from tests.compat.deployment import Deployment, deployed

VOLUME = "OS::Cinder::Volume"
PATIENCE = 120.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The SDK warns about its own calls of its own deprecated functions; here it is only a tool."""
    here = pathlib.Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            for kind in ("PendingDeprecationWarning",
                         "openstack.warnings.OpenStackDeprecationWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@dataclass(frozen=True)
class World:
    """Who and what there is: a user with two volumes in a project of their own, another user, an
    administrator."""

    service: Deployment
    owner: Person
    other: Person
    admin: Person
    volumes: tuple[dict[str, str], dict[str, str]]
    accounts: dict[str, dict[str, str]]     # what openrc files of these people have
    somebody: dict[str, Somebody]           # the first two, as an administrator sees them

    def plan(self, provider_id: str = "", **more: Any) -> dict[str, Any]:
        """A new one, of the first volume."""
        name = more.pop("name", f"plan-{uuid.uuid4().hex[:8]}")
        found: dict[str, Any] = self.owner.client.plans.create(
            name, provider_id or self.service.facts, [self.volumes[0]], {}, **more)
        return found

    def checkpoint(self, plan: dict[str, Any]) -> dict[str, Any]:
        """One that is available."""
        made = self.owner.client.checkpoints.create(plan["provider_id"], plan["id"])
        return self.settled(plan["provider_id"], made["id"])

    def settled(self, provider_id: str, checkpoint_id: str) -> dict[str, Any]:
        return until(lambda: self.owner.client.checkpoints.get(provider_id, checkpoint_id),
                     lambda one: one["status"] not in ("protecting", "deleting"))


def until(look: Callable[[], dict[str, Any]], done: Callable[[dict[str, Any]], bool]
          ) -> dict[str, Any]:
    """Look until it is done; fail after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not done(found := look()):
        assert time.monotonic() < end, f"waited {PATIENCE:.0f} s in vain: {found}"
        time.sleep(0.2)
    return found


def over(one: dict[str, Any]) -> bool:
    return one["status"] != "in_progress"


def _account(entry: dict[str, Any]) -> dict[str, str]:
    """What `openrc` files have."""
    auth = entry["auth"]
    return {f"OS_{name.upper()}": value for name, value in auth.items()} | {
        "OS_REGION_NAME": entry["region_name"], "OS_IDENTITY_API_VERSION": "3"}


@pytest.fixture(scope="session")
def world(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    admin = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"]["admin"]
    with contextlib.ExitStack() as stack:
        owner = stack.enter_context(new_somebody(cloud))
        other = stack.enter_context(new_somebody(cloud))
        service = stack.enter_context(deployed(cloud, tmp_path_factory.mktemp("karbor")))
        connection = stack.enter_context(cloud.connection("admin"))
        accounts = {"owner": _account(owner.entry()), "other": _account(other.entry()),
                    "admin": _account(admin)}
        clients = stack.enter_context(Clients(accounts))
        projects = {"owner": owner.project.id, "other": other.project.id,
                    "admin": connection.current_project_id}
        people = {name: Person(clients, name, id) for name, id in projects.items()}
        volumes = _volumes(owner)
        stack.callback(_clear, owner)
        yield World(service, *people.values(), volumes, accounts,
                    {"owner": owner, "other": other})
        # The end comes with that of the process, in a test that may be about something else.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stack.close()


def _volumes(owner: Somebody) -> tuple[dict[str, str], dict[str, str]]:
    with owner.connection() as connection:
        made = [connection.block_storage.create_volume(name=name, size=1)
                for name in ("one", "two")]
        for one in made:
            until(lambda one=one: connection.block_storage.get_volume(one.id).to_dict(),
                  lambda now: now["status"] == "available")
        first, second = ({"id": one.id, "type": VOLUME, "name": one.name} for one in made)
    return first, second


def _clear(owner: Somebody) -> None:
    """What the user has, what a restore has made included."""
    with owner.connection() as connection:
        storage: Any = connection.block_storage

        def left() -> dict[str, Any]:
            backups, volumes = list(storage.backups()), list(storage.volumes())
            for one in backups:
                if one.status in ("available", "error"):
                    storage.delete_backup(one.id)
            for one in volumes:
                if one.status in ("available", "error"):
                    storage.delete_volume(one.id)
            return {"left": [one.id for one in (*backups, *volumes)]}

        until(left, lambda found: not found["left"])
