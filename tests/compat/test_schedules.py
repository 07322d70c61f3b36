"""Triggers, scheduled operations and services with the Python client; and what runs by itself."""

from __future__ import annotations

import contextlib
import datetime
import json
import uuid
from typing import Any

import pytest

from tests.compat.clients import ClientError
from tests.compat.conftest import World, until

NOBODY = str(uuid.uuid4())
DAILY = "BEGIN:VEVENT\nRRULE:FREQ=DAILY;INTERVAL=1;\nEND:VEVENT"
OFTEN = "BEGIN:VEVENT\nRRULE:FREQ=SECONDLY;INTERVAL=3;\nEND:VEVENT"


def properties(pattern: str = DAILY, format: str = "calendar", **more: Any) -> dict[str, Any]:
    """Its first run is in a second if it runs often; else in an hour, so that a slow machine
    does not find it running."""
    start = datetime.datetime.now(datetime.UTC) + datetime.timedelta(
        seconds=1 if pattern == OFTEN else 3600)
    return {"format": format, "pattern": pattern,
            "start_time": start.strftime("%Y-%m-%d %H:%M:%S"), **more}


def test_triggers(world: World) -> None:
    triggers = world.owner.client.triggers
    given = properties(window=60)
    made = triggers.create("nightly", "time", given)
    assert made["properties"] == {**given, "window": "60"}
    assert made == triggers.get(made["id"])
    cron = triggers.create("", "time", {"format": "crontab", "pattern": "0 2 * * *"})
    assert cron["properties"]["pattern"] == "0 2 * * *"
    assert cron["properties"]["start_time"]
    mine = [one["id"] for one in triggers.list()]
    assert {made["id"], cron["id"]} <= set(mine)
    assert [one["id"] for one in triggers.list(search_opts={"name": "nightly"})] == [made["id"]]
    assert triggers.list(search_opts={"type": "event"}) == []
    assert triggers.list(limit=1, sort="name:desc")[0]["id"] == made["id"]
    changed = triggers.update(made["id"], {"name": "weekly", "properties": properties(
        DAILY.replace("DAILY", "WEEKLY"))})
    assert changed["name"] == "weekly"
    assert "WEEKLY" in triggers.get(made["id"])["properties"]["pattern"]
    for call in (lambda: triggers.get(NOBODY), lambda: triggers.delete(NOBODY),
                 lambda: world.other.client.triggers.get(made["id"]),
                 lambda: world.other.client.triggers.delete(made["id"])):
        with pytest.raises(ClientError, match="NotFound"):
            call()
    for wrong in ({"pattern": "every day", "format": "crontab"}, properties(window=0),
                  properties(end_time="2001-01-01 00:00:00"), properties(start="now"),
                  {"pattern": DAILY, "format": "moon"}):
        with pytest.raises(ClientError, match="BadRequest"):
            triggers.create("wrong", "time", wrong)
    with pytest.raises(ClientError, match=r"BadRequest.*trigger type"):
        triggers.create("wrong", "event", properties())
    for one in (made, cron):
        triggers.delete(one["id"])
    assert triggers.list() == []


def test_scheduled_operations(world: World) -> None:
    client, plan = world.owner.client, world.plan()
    trigger = client.triggers.create("t", "time", properties())
    definition = {"provider_id": plan["provider_id"], "plan_id": plan["id"], "max_backups": 2,
                  "retention_duration": "14"}
    made = client.scheduled_operations.create("daily", "retention_protect", trigger["id"],
                                              definition)
    assert made["operation_definition"] == {**definition, "max_backups": "2"}
    assert made["enabled"] is True
    assert made["rights"]["kind"] == "trust + service token"
    assert client.scheduled_operations.get(made["id"]) == made
    for search in ({}, {"name": "dai"}, {"operation_type": "retention_protect"},
                   {"trigger_id": trigger["id"]}, {"operation_definition": plan["id"]}):
        assert [one["id"] for one in client.scheduled_operations.list(search_opts=search)] == [
            made["id"]]
    assert client.scheduled_operations.list(search_opts={"operation_type": "protect"}) == []
    with pytest.raises(ClientError) as used:
        client.triggers.delete(trigger["id"])
    assert used.value.code == 424
    calls: list[Any] = [
        lambda: client.scheduled_operations.get(NOBODY),
        lambda: client.scheduled_operations.delete(NOBODY),
        lambda: world.other.client.scheduled_operations.get(made["id"]),
        lambda: world.other.client.scheduled_operations.delete(made["id"]),
        lambda: client.scheduled_operations.create("x", "protect", NOBODY, definition)]
    for call in calls:
        with pytest.raises(ClientError, match="NotFound"):
            call()
    for type, given in (("backup", definition), ("protect", {"plan_id": plan["id"]}),
                        ("protect", {**definition, "provider_id": world.service.real}),
                        ("retention_protect", {**definition, "max_backups": "many"})):
        with pytest.raises(ClientError, match="BadRequest"):
            client.scheduled_operations.create("x", type, trigger["id"], given)
    assert len(client.scheduled_operations.list()) == 1
    client.scheduled_operations.delete(made["id"])
    client.triggers.delete(trigger["id"])
    client.plans.delete(plan["id"])


def test_it_runs_by_itself_and_keeps_the_newest(world: World) -> None:
    """A trigger of three seconds; two checkpoints are kept, and one that was made by hand."""
    client, plan = world.owner.client, world.plan()
    by_hand = world.checkpoint(plan)["id"]
    trigger = client.triggers.create("often", "time", properties(OFTEN, window=60))
    made = client.scheduled_operations.create(
        "often", "retention_protect", trigger["id"],
        {"provider_id": plan["provider_id"], "plan_id": plan["id"], "max_backups": 1})

    def checkpoints() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.checkpoints.list(
            plan["provider_id"], search_opts={"plan_id": plan["id"]})
        return found

    seen: set[str] = set()

    def look() -> dict[str, Any]:
        now = [one for one in checkpoints() if one["id"] != by_hand]
        seen.update(one["id"] for one in now if one["status"] == "available")
        return {"gone": seen - {one["id"] for one in now}}

    until(look, lambda found: len(found["gone"]) >= 1)
    kept = [one for one in checkpoints() if one["status"] == "available"]
    assert by_hand in [one["id"] for one in kept]
    assert all(json.loads(one["extra_info"])["created_by"] == "operation-engine"
               for one in kept if one["id"] != by_hand)
    logs = client.operation_logs.list(search_opts={"scheduled_operation_id": made["id"]})
    assert {one["operation_type"] for one in logs} == {"protect"}

    def deleted() -> dict[str, Any]:
        """While a run is going it is paused only."""
        with contextlib.suppress(ClientError):
            client.scheduled_operations.delete(made["id"])
        return {"there": [one["enabled"] for one in client.scheduled_operations.list()
                          if one["id"] == made["id"]]}

    until(deleted, lambda found: not any(found["there"]))
    until(deleted, lambda found: not found["there"])
    client.triggers.delete(trigger["id"])
    for one in checkpoints():
        if one["status"] == "available":
            client.checkpoints.delete(plan["provider_id"], one["id"])
    client.plans.delete(plan["id"])


def test_services(world: World) -> None:
    services = world.admin.client.services
    [one] = [each for each in services.list() if each["host"] == "compat"]
    assert (one["binary"], one["status"], one["state"]) == (
        "karbor-operationengine", "enabled", "up")
    assert services.list(host="nobody") == []
    assert services.list(binary=one["binary"], host="compat")[0]["id"] == one["id"]
    disabled = services.disable_log_reason(one["id"], "maintenance")
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "maintenance")
    assert services.enable(one["id"])["status"] == "enabled"
    with pytest.raises(ClientError, match="NotFound"):
        services.disable(99999)
    with pytest.raises(ClientError, match="Forbidden"):
        world.owner.client.services.list()
