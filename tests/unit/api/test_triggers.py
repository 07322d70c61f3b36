"""Triggers over the API: what may be sent, and what becomes of those that were stored before."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from karbor.store.connect import writing
from karbor.store.schedule_tables import TRIGGERS
from tests.unit.api.conftest import Api

BOMB = ("FREQ=DAILY;BYHOUR=" + ",".join(map(str, range(24))) + ";BYMINUTE="
        + ",".join(map(str, range(60))) + ";BYSECOND=" + ",".join(map(str, range(60)))
        + ";COUNT=99999999")


def calendar(rule: str) -> str:
    return f"BEGIN:VEVENT\nRRULE:{rule}\nEND:VEVENT"


def new_trigger(pattern: str, format: str = "calendar") -> dict[str, object]:
    return {"trigger_info": {"name": "t", "type": "time", "properties": {
        "format": format, "pattern": pattern, "start_time": "1970-01-01 00:00:00"}}}


def test_sixteen_bombs_are_sixteen_refusals(api: Api) -> None:
    """Each of them took minutes, and each held a thread of the server for as long."""
    for _ in range(16):
        refused = api("POST", "/triggers", new_trigger(calendar(BOMB)), status=400)
        assert "86400 times of a day" in refused.json["badRequest"]["message"]
    assert api("GET", "/triggers").json == {"triggers": []}


def test_a_bomb_is_refused_as_a_change_too(api: Api) -> None:
    made = api("POST", "/triggers", new_trigger("0 2 * * *", "crontab")).json["trigger_info"]
    api("PUT", f"/triggers/{made['id']}", new_trigger(calendar(BOMB)), status=400)
    shown = api("GET", f"/triggers/{made['id']}").json["trigger_info"]
    assert shown["properties"]["pattern"] == "0 2 * * *"


@pytest.mark.parametrize(("rule", "fault"), [
    (BOMB, "names 86400 times of a day"),
    ("FREQ=DAILY;COUNT=9999999;BYHOUR=" + ",".join(map(str, range(24))), ""),
])
def test_one_that_was_stored_before_is_shown(
        api: Api, engine: sa.Engine, rule: str, fault: str) -> None:
    made = api("POST", "/triggers", new_trigger("0 2 * * *", "crontab")).json["trigger_info"]
    with writing(engine) as connection:
        connection.execute(sa.update(TRIGGERS).values(format="calendar", pattern=calendar(rule)))
    shown = api("GET", f"/triggers/{made['id']}").json["trigger_info"]
    assert (fault in shown["fault"]) if fault else len(shown["next_times"]) == 5
    api("DELETE", f"/triggers/{made['id']}")
