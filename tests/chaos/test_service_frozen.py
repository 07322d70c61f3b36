"""A worker that is stopped with SIGSTOP keeps its operations, and everybody can see that."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from karbor_testing.openstack import Double

from karbor.domain.operation import OperationState
from tests.chaos.application import Person
from tests.chaos.scene import created
from tests.chaos.service_site import API, WORKERS, Customer, Processes, Site


@pytest.fixture
def site(tmp_path: Any, processes: Processes, empty_double: Double, postgresql_url: str) -> Any:
    empty_double.bring_back("empty")
    site = Site(tmp_path, processes, empty_double, postgresql_url)
    site.configure(service_down_time=3.0)
    yield site
    empty_double.set(held=[])
    site.leave()


def shown(site: Site, admin: Person) -> dict[int, tuple[str, list[str]]]:
    """Process → its state and operations, of the one service that there is."""
    (service,) = admin._session.get(f"{site.url}/v1/{admin.project}/os-services",
                                    timeout=30).json()["services"]
    return {one["pid"]: (one["state"], one["operations"]) for one in service["processes"]}


def test_a_frozen_worker_is_shown_with_its_operations_until_it_is_ended(site: Site) -> None:
    pids = {site.start(role): role for role in (API, *WORKERS)}
    workers = set(pids) - {site.running[API.name]}
    customer, admin = Customer(site, "demo", 1), Person(site.double, "admin")
    customer.plan()
    mark = len(site.double.ledger())
    site.double.set(held=["cinder.backup"])     # so that it is not over before it is frozen
    customer.protect(0)
    site.until(lambda: created(site.double, mark)["cinder.backup"] == 1)
    (operation,) = site.operations()
    frozen = site.driven([operation])[operation.id]
    (lively,) = workers - {frozen}
    site.until(lambda: shown(site, admin) == {frozen: ("up", [operation.id]), lively: ("up", [])})
    os.kill(frozen, signal.SIGSTOP)
    site.until(lambda: shown(site, admin) == {frozen: ("down", [operation.id]),
                                              lively: ("up", [])})
    assert site.driven([operation]) == {operation.id: frozen}
    site.kill(pids[frozen])
    site.until(lambda: shown(site, admin) == {lively: ("up", [operation.id])})
    site.double.set(held=[])
    site.until(site.all_over)
    assert site.operations()[0].state is OperationState.DONE
    assert created(site.double, mark)["cinder.backup"] == 1     # the other one has gone on with it
    site.end(pids[lively])
    site.until(lambda: shown(site, admin) == {})
    customer.close()
    admin.close()
