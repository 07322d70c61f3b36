"""What a service does on rights that users have given it, and when they have come to an end.

A schedule that runs on a registered application credential: that is tried when the schedule is
made, when it is changed, and at each of its runs. What an operation had to leave is removed on the
rights of whoever asks.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from karbor.domain.operation import OperationState
from karbor.providers import builtin
from tests.chaos.scene import trusts
from tests.chaos.service_site import REPOSITORY, SERVE, Customer, Site

pytestmark = pytest.mark.parametrize("site", ["sqlite"], indirect=True)
ALL = "/scheduled_operations"


class Scheduling:
    """A user with one plan, a trigger, and an application credential that they registered."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.start(SERVE)
        self.customer = Customer(site, "demo", 1)
        self.customer.plan()
        self.plan = self.customer.ask("GET", "/plans")["plans"][0]["id"]
        self.trigger = self.customer.ask("POST", "/triggers", {"trigger_info": {
            "name": "nightly", "type": "time", "properties": {
                "format": "crontab", "pattern": "0 2 * * *"}}})["trigger_info"]["id"]
        self.register()

    def register(self) -> None:
        run = subprocess.run(
            [sys.executable, "-c", "from karbor.cli import main; main()",
             "credential", "register"], cwd=REPOSITORY,
            env={**self.site.environ, "OS_CLOUD": "demo",
                 "KARBOR_CONFIG": str(self.site.place / "karbor.conf")},
            capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr

    def remove_registered(self) -> None:
        """In Keystone, past Karbor."""
        person = self.customer._person
        dump = self.site.double.dump()
        for id, one in dump["keystone.application_credential"].items():
            person.ask("DELETE", "identity/v3/users/"
                       f"{one['user_id']}/application_credentials/{id}")

    def request(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        answer = self.customer._session.request(
            method, f"{self.site.url}/v1/{self.customer.project}{path}", json=body, timeout=30)
        return answer.status_code, answer.json()

    def create(self) -> tuple[int, Any]:
        return self.request("POST", ALL, {"scheduled_operation": {
            "name": "nightly", "operation_type": "protect", "trigger_id": self.trigger,
            "operation_definition": {"plan_id": self.plan, "provider_id": builtin.ID}}})

    def run(self, id: str) -> dict[str, Any]:
        """What came of a run that was asked for now."""
        self.customer.ask("POST", f"{ALL}/{id}/run")

        def newest() -> dict[str, Any]:
            found: dict[str, Any] = self.customer.ask(
                "GET", f"{ALL}/{id}/occurrences")["occurrences"][0]
            return found
        self.site.until(lambda: newest()["state"] in {"done", "failed"})
        return newest()


@pytest.fixture
def scheduling(site: Site) -> Iterator[Scheduling]:
    with (site.place / "karbor.conf").open("a") as file:
        file.write("[credentials]\nstrategy = application_credential\n"
                   "[schedule]\npoll_interval = 1\n")
    made = Scheduling(site)
    yield made
    made.customer.close()


def test_one_that_was_removed_in_keystone_is_not_believed(scheduling: Scheduling) -> None:
    status, made = scheduling.create()
    assert status == 200, made
    id = made["scheduled_operation"]["id"]
    assert made["scheduled_operation"]["rights"]["kind"] == (
        "application credential + service token")
    assert scheduling.run(id)["state"] == "done"

    scheduling.remove_registered()
    told = scheduling.run(id)
    assert told["state"] == "failed"
    assert "Keystone refuses the application credential" in told["reason"]
    assert [one.state for one in scheduling.site.operations()] == [OperationState.DONE]

    for method, path, body in (
            ("PUT", f"{ALL}/{id}", {"scheduled_operation": {"name": "renamed"}}),
            ("POST", f"{ALL}/{id}/take_over", None)):
        status, refused = scheduling.request(method, path, body)
        assert status == 400, (path, refused)
        assert "was tried, and Keystone refuses" in refused["badRequest"]["message"]
    status, refused = scheduling.create()
    assert status == 400, refused
    assert "karbor credential register" in refused["badRequest"]["message"]
    assert [one["name"] for one in scheduling.customer.ask("GET", ALL)["operations"]] == ["nightly"]

    scheduling.register()
    status, changed = scheduling.request("PUT", f"{ALL}/{id}",
                                         {"scheduled_operation": {"name": "renamed"}})
    assert status == 200, changed
    assert scheduling.run(id)["state"] == "done"


def volumes(site: Site) -> int:
    return len(site.double.dump()["cinder.volume"])


def test_what_a_restore_left_is_removed_on_the_rights_of_whoever_asks(site: Site) -> None:
    site.start(SERVE)
    customer = Customer(site, "demo", 1)
    customer.plan()
    checkpoint = customer.protect(0)
    site.until(site.all_over, "the protect")
    before = volumes(site)
    site.double.fault("answer", method="POST", path="/backups/[^/]+/restore", status=400, times=9)
    site.double.fault("answer", method="DELETE", path="/volumes/", status=403, times=99)
    id = customer.ask("POST", "/restores", {"restore": {
        "provider_id": builtin.ID, "checkpoint_id": checkpoint, "parameters": {}}})["restore"]["id"]
    site.until(site.all_over, "the restore")
    path = f"/operation_logs/{id}"
    [left] = customer.ask("GET", path)["operation_log"]["extra_info"]["left"]
    assert (left["stage"], volumes(site)) == ("volume", before + 1)

    def ask_again() -> tuple[int, str]:
        answer = customer._session.post(f"{site.url}/v1/{customer.project}{path}/remove_left",
                                        timeout=30)
        return answer.status_code, answer.text

    site.double.heal()
    site.double.fault("answer", method="POST", path="/OS-TRUST/trusts$", status=503, times=99)
    status, _ = ask_again()
    assert status == 503
    shown = customer.ask("GET", path)["operation_log"]["extra_info"]
    assert (shown["state"], shown["left"]) == ("failed", [left])

    site.double.heal()
    site.double.fault("answer", method="DELETE", path="/volumes/", status=503, times=2)
    taken = customer.ask("POST", f"{path}/remove_left")["operation_log"]
    assert taken["extra_info"]["state"] == "undoing"
    trusted = trusts(site.double)
    assert len(trusted) == 1
    status, told = ask_again()
    assert (status, "can be removed when it is over" in told) == (400, True)
    assert trusts(site.double) == trusted
    site.until(site.all_over, "the removal")
    shown = customer.ask("GET", path)["operation_log"]
    assert (shown["status"], "left" in shown["extra_info"]) == ("fail", False)
    assert volumes(site) == before
    site.until(lambda: trusts(site.double) == set(), "the trust is gone")
    answer = customer._session.post(f"{site.url}/v1/{customer.project}{path}/remove_left",
                                    timeout=30)
    assert (answer.status_code, "nothing is left of it" in answer.text) == (400, True)
    customer.close()
