"""Options of the work: requests, credentials, providers."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from karbor.cmd.embedded import EmbeddedKarbor
from karbor.cmd.serve import Server
from karbor.domain.errors import Obstacles, ServiceUserUnfit, WorkInterrupted
from karbor.domain.step import Hook, Step
from karbor.engine.concurrency_limits import Limit
from karbor.operations import stage_retry
from tests.chaos.application import Person
from tests.unit.options.conftest import Place

pytestmark = pytest.mark.filterwarnings("ignore:send_bytes:DeprecationWarning")
HOUR = 3600.0
RESTARTED = "Object PUT failed: connection reset"


# ---------------------------------------------------------------- [http]
def test_requests_have_the_time_limits_of_the_options(
        place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: set[Any] = set()
    usual = HTTPAdapter.send

    def send(adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
        limits.add(options.get("timeout"))
        return usual(adapter, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", send)
    place.configure("", "[http]\nconnect_timeout = 7.5\nread_timeout = 33\n")
    place.command("resources")
    assert limits == {(7.5, 33.0)}


@pytest.mark.parametrize("retries", [0, 2])
def test_a_request_that_reads_is_repeated_so_often(place: Place, retries: int) -> None:
    place.configure("", f"[http]\nretries = {retries}\nretry_longest = 0\n")
    place.double.fault("answer", method="GET", path="/volumes/detail", status=503, times=99)
    place.command("resources", code=None)
    assert place.double.faults()[0]["seen"] == 1 + retries


@pytest.mark.parametrize("longest", ["0.1", "0.2"])
def test_the_pause_before_it_is_so_long_at_most(place: Place, longest: str) -> None:
    place.configure("", f"[http]\nretries = 1\nretry_longest = {longest}\n")
    place.double.fault("answer", method="GET", path="/volumes/detail", status=503, times=1)
    told = place.command("--verbose", "resources").stderr
    assert re.findall(r"again in ([\d.]+) s", told) == [longest]


# ---------------------------------------------------------------- [credentials]
def credential(place: Place, options: str) -> Mapping[str, Any]:
    """What a protect would run on."""
    conf = place.configure("", f"[credentials]\n{options}\n")
    with EmbeddedKarbor(conf, cloud="demo") as local:
        return local.draft_protect([place.volume]).operation.credential


@pytest.mark.parametrize(("strategy", "kind"), [
    ("auto", "user + service token"), ("token", "user + service token"),
    ("trust", "trust + service token"), ("own_login", "own login")])
def test_an_operation_runs_on_what_the_strategy_says(place: Place, strategy: str, kind: str
                                                      ) -> None:
    found = credential(place, f"strategy = {strategy}")
    assert found["rung"] == kind
    assert bool(found["grant"]) == (strategy in ("auto", "trust"))


@pytest.mark.parametrize("hours", [10, 50])
def test_a_trust_lasts_as_long_as_the_longest_operation(place: Place, hours: int) -> None:
    found = credential(place, f"strategy = trust\nlongest_operation = {hours * 3600}")
    assert hours - 1 < (found["until"] - time.time()) / HOUR <= hours


@pytest.mark.parametrize("roles", [["member"], ["member", "reader"], ["reader"]], ids=str)
def test_a_trust_passes_on_the_roles_of_the_option(place: Place, roles: list[str]) -> None:
    assert credential(place, f"strategy = trust\ntrust_roles = {','.join(roles)}"
                      )["grant"]["roles"] == roles


@pytest.mark.parametrize("window", [600, 7200])
def test_a_token_serves_for_the_window_behind_its_end(place: Place, window: int) -> None:
    found = credential(place, f"strategy = token\nallow_expired_window = {window}")
    assert found["window"] == window
    assert found["token_ends"] < found["deadline"] <= found["token_ends"] + window


def test_an_operation_is_estimated_by_the_slowest_rate(place: Place) -> None:
    quick, slow = (credential(place, f"slowest_rate = {rate}")["needed"] for rate in (20, 0.2))
    assert slow > 10 * quick


@pytest.mark.parametrize(("roles", "refused"), [("reader", True), ("", False),
                                                ("reader, viewer", True)])
def test_who_only_reads_is_told_by_the_roles_of_the_option(
        place: Place, roles: str, *, refused: bool) -> None:
    conf = place.configure("", f"[credentials]\nreader_roles = {roles}\n")
    with EmbeddedKarbor(conf, cloud="reader") as local:
        if refused:
            with pytest.raises(Obstacles, match="reader_roles"):
                local.draft_protect([place.volume])
        else:
            assert local.draft_protect([place.volume]).operation.id


def test_the_service_user_needs_the_role_of_the_option(place: Place) -> None:
    conf = place.configure("", "[credentials]\nservice_role = butler\n")
    with EmbeddedKarbor(conf, cloud="demo") as local, \
            pytest.raises(ServiceUserUnfit, match="lacks the role butler"):
        local.draft_protect([place.volume])


# ---------------------------------------------------------------- [limits]
def test_each_limit_of_plugins_counts_for_providers_and_projects(place: Place) -> None:
    kinds = {"cinder-backups": Limit(11, 5), "glance-transfers": Limit(12, 6),
             "server-images": Limit(13, 7)}
    lines = [f"{whose}_{kind.replace('-', '_')} = {number}\n" for kind, limit in kinds.items()
             for whose, number in (("provider", limit.provider), ("project", limit.project))]
    conf = place.configure("", "[limits]\n" + "".join(lines))
    with EmbeddedKarbor(conf, cloud="demo") as local:
        assert local._setting(local.provider).limits == kinds


# ---------------------------------------------------------------- [waits]
@pytest.mark.parametrize("often", [0, 1])
def test_a_backup_that_cinder_broke_off_is_made_anew_so_often(place: Place, often: int) -> None:
    place.configure("", f"[waits]\nmade_anew = {often}\nmade_anew_pause = 0\n")
    place.double.set(outcomes=[{"kind": "cinder.backup", "nth": 1, "status": "error",
                                "reason": RESTARTED}])
    place.command("protect", place.volume, "--name", "c", code=None)
    made = [one for one in place.double.ledger()
            if one["event"] == "created" and one["kind"] == "cinder.backup"]
    assert len(made) == 1 + often


@pytest.mark.parametrize("pause", [0.5, 90.0])
def test_it_is_made_anew_after_the_pause_of_the_option(place: Place, pause: float) -> None:
    conf = place.configure("", f"[waits]\nmade_anew_pause = {pause}\n")
    step = Step(0, "v", Hook.MAIN, "backup")
    with EmbeddedKarbor(conf, cloud="demo") as local:
        anew = stage_retry.judge(step, WorkInterrupted("a restart"), local._setting(local.provider))
    assert anew is not None
    assert anew.pause == pause


# ---------------------------------------------------------------- where in the cloud
@pytest.mark.parametrize(("option", "status"), [
    ("region_name = RegionOne", 200), ("region_name = RegionTwo", 404),
    ("interface = internal", 200), ("interface = admin", 500)])
def test_a_service_works_in_the_region_and_by_the_interface_of_the_options(
        place: Place, option: str, status: int) -> None:
    """The catalog has one region, and addresses for the public and from inside."""
    conf = place.configure("osapi_karbor_listen = 127.0.0.1\nosapi_karbor_listen_port = 0\n"
                           + option)
    person = Person(place.double)
    with Server(conf, worker=False) as server:
        answer = requests.get(
            f"{server.address}/v1/{person.project}/protectables/OS::Cinder::Volume/instances",
            headers={"X-Auth-Token": str(person._session.headers["X-Auth-Token"])}, timeout=120)
    person.close()
    assert answer.status_code == status, answer.text
    if status == 500:
        assert "cinder has no admin address" in answer.text
    if status == 200:
        assert [one["id"] for one in answer.json()["instances"]] == [place.volume]
