"""The options of [schedule], and of quotas and services, through the API and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from karbor import config
from karbor.application.checkpoints import CheckpointRequests
from karbor.application.scheduled_runs import ScheduledCheckpoints, ScheduledRuns
from karbor.application.scheduler_settings import clock
from karbor.application.service_context import Requester
from karbor.domain.occurrence import Occurrence, OccurrenceState
from karbor.plugin.delegation import Delegation
from karbor.providers import builtin
from karbor.store.connect import writing
from karbor.store.occurrences import Occurrences, Outcomes
from karbor.store.schedule_rows import occurrence_to_row
from karbor.store.schedule_tables import OCCURRENCES
from karbor.store.scheduled_operations import ScheduledOperations
from karbor.store.services import Services
from tests.unit.api.conftest import Api
from tests.unit.api.people import ADMIN, MINE
from tests.unit.api.service import VOLUME
from tests.unit.api.test_schedules import ALL, ScheduleService, World
from tests.unit.api.test_schedules import world as world  # noqa: PLC0414 - a fixture

DAY = 86400.0


def trigger(api: Api, status: int, **properties: Any) -> None:
    api("POST", "/triggers", {"trigger_info": {"name": "t", "type": "time", "properties": {
        "format": "crontab", "pattern": "0 2 * * *", **properties}}}, status=status)


@pytest.mark.parametrize(("option", "value", "properties"), [
    ("min_interval", 300, {"pattern": "*/5 * * * *"}), ("min_window_time", 60, {"window": 60}),
    ("max_window_time", 7200, {"window": 7200})])
def test_triggers_may_be_what_the_options_allow(
        serve: Callable[..., Api], conf: config.ConfigOpts, option: str, value: int,
        properties: dict[str, Any]) -> None:
    trigger(serve(), 400, **properties)
    conf.set_override(option, value, "schedule")
    trigger(serve(), 200, **properties)


@pytest.mark.parametrize("days", [7, 365])
def test_a_schedule_asks_for_rights_of_so_many_days(
        conf: config.ConfigOpts, world: World, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    conf.set_override("rights_days", days, "schedule")
    lives: list[float] = []
    usual = ScheduleService.schedule_delegation

    @contextmanager
    def schedule_delegation(self: ScheduleService, who: Requester, life: float
                            ) -> Iterator[Delegation]:
        lives.append(life)
        with usual(self, who, life) as found:
            yield found

    monkeypatch.setattr(ScheduleService, "schedule_delegation", schedule_delegation)
    world.create()
    assert lives == [days * DAY]


@pytest.mark.parametrize(("days", "soon"), [(5, False), (15, True)])
def test_rights_end_soon_from_so_many_days_before(
        conf: config.ConfigOpts, world: World, days: int, *, soon: bool) -> None:
    conf.set_override("rights_warning_days", days, "schedule")
    made = world.create()
    records = ScheduledOperations(world.service.database)
    one = records.show(MINE, made["id"])
    records.replace(replace(one, credential={**one.credential, "until": time.time() + 10 * DAY}))
    assert world.shown(made["id"])["rights"]["ends_soon"] is soon


@pytest.mark.parametrize(("days", "left"), [(5, 0), (15, 1)])
def test_what_came_of_a_time_is_seen_for_so_many_days(
        conf: config.ConfigOpts, world: World, days: int, left: int) -> None:
    conf.set_override("history_days", days, "schedule")
    made = world.create()
    then = time.time() - 10 * DAY
    with writing(world.service.database) as connection:
        connection.execute(sa.insert(OCCURRENCES).values(occurrence_to_row(Occurrence(
            "o", MINE, made["id"], "t", then, OccurrenceState.DONE, then, finished_at=then))))
    world.tick()
    assert len(world.api("GET", f"{ALL}/{made['id']}/occurrences").json["occurrences"]) == left


@pytest.mark.parametrize("seconds", [3, 45])
def test_an_engine_looks_again_after_so_many_seconds(
        conf: config.ConfigOpts, world: World, seconds: int) -> None:
    conf.set_override("poll_interval", seconds, "schedule")
    requests, database = CheckpointRequests(world.service, lambda: None), world.service.database
    made = clock(conf, Occurrences(database), Outcomes(database),
                 ScheduledRuns(world.service, requests),
                 ScheduledCheckpoints(world.service, requests))
    assert made.sleep_until(1000.0) == 1000.0 + seconds


@pytest.mark.parametrize(("seconds", "state"), [(10.0, "down"), (60.0, "up")])
def test_a_service_is_down_after_so_many_seconds(
        serve: Callable[..., Api], conf: config.ConfigOpts, engine: sa.Engine, seconds: float,
        state: str) -> None:
    conf.set_override("service_down_time", seconds)
    Services(engine).beat("karbor-worker", "here", 1_000_000.0 - 30)
    [found] = serve().of(ADMIN)("GET", "/os-services").json["services"]
    assert found["state"] == state


def test_a_project_has_as_many_plans_and_checkpoints_as_its_quota(
        serve: Callable[..., Api]) -> None:
    api = serve(plans=2, checkpoints=1)
    plans = [api.make_plan(provider_id=builtin.ID, resources=[
        {"id": VOLUME, "type": "OS::Cinder::Volume", "name": "v1"}])["id"] for _ in range(2)]
    refused = api("POST", "/plans", {"plan": {
        "name": "third", "provider_id": builtin.ID, "parameters": {}, "resources": [
            {"id": VOLUME, "type": "OS::Cinder::Volume", "name": "v1"}]}}, status=413)
    assert "plans" in refused.json["overLimit"]["message"]
    path = f"/providers/{builtin.ID}/checkpoints"
    api("POST", path, {"checkpoint": {"plan_id": plans[0]}})
    api("POST", path, {"checkpoint": {"plan_id": plans[1]}}, status=413)
