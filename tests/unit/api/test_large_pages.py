"""Pages end before they are too large, whatever is listed; whoever follows the links sees all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from karbor import config
from karbor.api.resources import RESOURCES
from karbor.banks.directory import DirectoryBank
from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.occurrence import Occurrence, OccurrenceState
from karbor.domain.operation import Operation, Verb
from karbor.domain.resource import VOLUME, Resource, ResourceGraph
from karbor.domain.scheduled_operation import OperationType, ScheduledOperation
from karbor.domain.step import Hook, Step
from karbor.domain.trigger import PatternFormat, Trigger, TriggerProperties
from karbor.providers import builtin
from karbor.store.connect import writing
from karbor.store.operation_rows import step_to_row
from karbor.store.operations import Operations
from karbor.store.schedule_rows import occurrence_to_row
from karbor.store.schedule_tables import OCCURRENCES
from karbor.store.scheduled_operations import ScheduledOperations
from karbor.store.tables import STEPS
from karbor.store.triggers import Triggers
from tests.unit.api import service
from tests.unit.api.conftest import Api
from tests.unit.api.people import MINE

LARGEST_BYTES = 7000
LARGE = "x" * 2000
MOST = 3        # of these, with what each has beside them
ITEMS = 7
WHEN = TriggerProperties(PatternFormat.CRONTAB, "0 2 * * *", 0.0)
SCHEDULE = "77777777-7777-4777-8777-777777777777"
DATA = Resource(VOLUME, "v", "data")


def number(index: int) -> str:
    return f"88888888-8888-4888-8888-88888888888{index}"


class Things:
    """Makes ITEMS of a kind, each with LARGE in it. Returns the path of their list."""

    def __init__(self, api: Api, conf: config.ConfigOpts, engine: sa.Engine,
                 monkeypatch: pytest.MonkeyPatch) -> None:
        self.api, self.conf, self.engine, self.monkeypatch = api, conf, engine, monkeypatch

    def plans(self) -> str:
        for index in range(ITEMS):
            self.api.make_plan(name=f"p{index}", resources=[
                {"id": "v", "type": VOLUME, "name": LARGE}])
        return "/plans"

    def triggers(self) -> str:
        for index in range(ITEMS):
            Triggers(self.engine).add(Trigger(number(index), MINE, "t", TriggerProperties(
                PatternFormat.CALENDAR, "BEGIN:VEVENT\nRRULE:FREQ=DAILY\nX-WHY:" + LARGE
                + "\nEND:VEVENT", 0.0), float(index)))
        return "/triggers"

    def operations(self) -> str:
        plan_id = self.api.make_plan(provider_id=builtin.ID)["id"]
        Triggers(self.engine).add(Trigger("t", MINE, "t", WHEN, 0.0))
        for index in range(ITEMS):
            ScheduledOperations(self.engine).add(ScheduledOperation(
                number(index), MINE, "s", OperationType.PROTECT, "t",
                {"plan_id": plan_id, "provider_id": builtin.ID, "of an earlier Karbor": LARGE},
                {"user_id": "u"}, {"rung": "trust"}, float(index)))
        return "/scheduled_operations"

    def occurrences(self) -> str:
        plan_id = self.api.make_plan(provider_id=builtin.ID)["id"]
        Triggers(self.engine).add(Trigger("t", MINE, "t", WHEN, 0.0))
        ScheduledOperations(self.engine).add(ScheduledOperation(
            SCHEDULE, MINE, "s", OperationType.PROTECT, "t",
            {"plan_id": plan_id, "provider_id": builtin.ID}, {"user_id": "u"}, {"rung": "trust"},
            1.0))
        with writing(self.engine) as connection:
            for index in range(ITEMS):
                connection.execute(sa.insert(OCCURRENCES).values(occurrence_to_row(Occurrence(
                    number(index), MINE, SCHEDULE, "t", float(index), OccurrenceState.FAILED, 1.0,
                    reason=LARGE))))
        return f"/scheduled_operations/{SCHEDULE}/occurrences"

    def checkpoints(self) -> str:
        graph = ResourceGraph.build([Resource(VOLUME, "v", LARGE)], lambda _level: {})
        bank = CheckpointRepository(
            DirectoryBank({"path": str(config.bank_path(self.conf))}), MINE)
        for index in range(ITEMS):
            bank.begin(Checkpoint(number(index), MINE, "c", float(index),
                                  CheckpointState.PROTECTING, graph, operation_id="op",
                                  provider_id=builtin.ID))
        return f"/providers/{builtin.ID}/checkpoints"

    def operation_logs(self) -> str:
        return self._operations(Verb.PROTECT, LARGE, "/operation_logs")

    def restores(self) -> str:
        """What is large are the steps, which the answer is made of."""
        path = self._operations(Verb.RESTORE, "", "/restores")
        with writing(self.engine) as connection:
            for index in range(ITEMS):
                for step in (Step(0, DATA.key, Hook.MAIN, "volume", saved={"why": LARGE[:1000]}),
                             Step(1, DATA.key, Hook.MAIN, "data", handle={"why": LARGE[:1000]})):
                    connection.execute(sa.insert(STEPS).values(step_to_row(number(index), step)))
        return path

    def verifications(self) -> str:
        return self._operations(Verb.VERIFY, LARGE, "/verifications")

    def _operations(self, verb: Verb, large: str, path: str) -> str:
        graph = ResourceGraph.build([DATA], lambda _level: {}).to_dict()
        for index in range(ITEMS):
            Operations(self.engine).add(Operation(
                number(index), verb, MINE, {}, {"rung": "trust"},
                {"provider_id": builtin.ID, "parameters": {VOLUME: {"why": large}}}, f"c{index}",
                plan={"graph": graph}, created_at=float(index)))
        return path

    def instances(self) -> str:
        self.monkeypatch.setitem(service.LISTS, ("cinder", "/volumes/detail"), [     # type: ignore[arg-type]
            {"id": number(index), "name": f"{index} {LARGE}", "status": "available", "size": 1,
             "availability_zone": "az1"} for index in range(ITEMS)])
        return f"/protectables/{VOLUME}/instances"


COLLECTIONS = {route.collection.key: route.path for resource in RESOURCES
               for route in resource.routes() if route.collection}
FEW = {"providers"}     # as many as the operator has files


@pytest.mark.parametrize("kind", sorted(set(COLLECTIONS) - FEW))
def test_a_page_of_large_things_ends_early_and_says_so(
        serve: Callable[..., Api], conf: Any, engine: sa.Engine, kind: str,
        monkeypatch: pytest.MonkeyPatch) -> None:
    conf.set_override("osapi_max_limit", 1000)
    conf.set_override("osapi_max_page_bytes", LARGEST_BYTES)
    api = serve()
    path: str = getattr(Things(api, conf, engine, monkeypatch), kind)()
    ids, sizes, query = [], [], "sort=id:asc"
    while query:
        page = api("GET", path, query_string=query).json
        ids += [one["id"] for one in page[kind]]
        sizes.append(len(page[kind]))
        (link,) = page.get(f"{kind}_links") or [{"href": ""}]
        query = link["href"].partition("?")[2]
    assert len(set(ids)) == len(ids) == ITEMS
    assert ids == sorted(ids)
    assert max(sizes) <= MOST
    assert max(sizes) >= 2      # what fits together comes together
