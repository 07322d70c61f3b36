"""`karbor plan …` and `karbor schedule …`, our own commands, on the same service; and whose rights
schedules run on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from karbor.cli.program import karbor
from tests.compat.conftest import World, until


class Command:
    """In this process, as one of the people."""

    def __init__(self, account: dict[str, str], home: Any) -> None:
        # Whatever cloud the shell of whoever runs the tests has chosen.
        self._env = {"OS_CLOUD": None, "OS_CLIENT_CONFIG_FILE": None, "KARBOR_CONFIG": None,
                     **account, "HOME": str(home), "XDG_DATA_HOME": str(home / "data"),
                     "COLUMNS": "300"}

    def run(self, *words: str, group: str = "schedule") -> Result:
        return CliRunner().invoke(karbor, [group, *words], env=self._env)

    def plan(self, *words: str) -> Any:
        done = self.run(*words, "--format", "json", group="plan")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def tell(self, *words: str) -> str:
        done = self.run(*words)
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.tell(*words, "--format", "json"))


@pytest.fixture
def command(world: World, tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(world.accounts["owner"], tmp_path_factory.mktemp("home"))


def trusts(world: World, of: str = "owner") -> list[str]:
    return [one["id"] for one in world.somebody[of].trusts("karbor")]


def remove(world: World, checkpoint_id: str) -> None:
    """And wait: the deletion has a trust of its own."""
    world.owner.client.checkpoints.delete(world.service.facts, checkpoint_id)
    world.settled(world.service.facts, checkpoint_id)
    until(lambda: {"left": trusts(world)}, lambda found: not found["left"])


def test_the_life_of_a_schedule(world: World, command: Command) -> None:
    plan = world.plan(name="shop")
    assert trusts(world) == []
    made = command.json("create", "nightly", "--plan", "shop", "--cron", "0 2 * * *",
                        "--time-zone", "Europe/Berlin", "--keep-daily", "7")
    assert made["operation_type"] == "retention_protect"
    assert len(trusts(world)) == 1
    assert "nightly" in command.tell("list")
    shown = command.tell("show", "nightly")
    assert "0 2 * * *" in shown
    assert "nothing was due so far" in command.run("show", "nightly").output
    command.tell("run", "nightly")
    ended = until(lambda: {"runs": command.json("show", "nightly")["occurrences"]},
                  lambda one: bool(one["runs"]) and one["runs"][0]["state"] == "done")
    assert ended["runs"][0]["manual"] is True
    log = world.owner.client.operation_logs.get(ended["runs"][0]["operation_log_id"])
    assert log["status"] == "available"
    [verdict] = command.json("retention", "nightly")
    assert (verdict["kept"], verdict["reason"]) == (True, "the newest good one")
    assert "paused" in command.tell("pause", "nightly")
    refused = command.run("run", "nightly")
    assert refused.exit_code != 0
    assert "paused" in refused.output
    assert "paused" not in command.tell("resume", "nightly")
    before = trusts(world)
    command.tell("take-over", "nightly")
    assert len(trusts(world)) == 1
    assert trusts(world) != before      # the one before has gone
    command.tell("delete", "nightly", "--with-trigger", "--yes")
    assert trusts(world) == []
    assert command.json("list") == []
    assert world.owner.client.triggers.list() == []
    remove(world, log["checkpoint_id"])
    world.owner.client.plans.delete(plan["id"])


def test_one_whose_maker_has_left_is_taken_over(world: World, command: Command,
                                                tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another member of the project. What it did on the rights of the first one fails with the
    reason, and runs again afterwards."""
    plan, owner, other = world.plan(name="left"), *world.somebody.values()
    command.tell("create", "weekly", "--plan", "left", "--rrule", "FREQ=WEEKLY")
    owner.revoke_trusts("karbor")       # as Keystone does when a user is deleted

    def latest() -> dict[str, Any]:
        found: dict[str, Any] = next(iter(second.json("show", "weekly")["occurrences"]), {})
        return found

    role = owner.identity.find_role("member")
    owner.identity.assign_project_role_to_user(owner.project, other.user, role)
    try:
        second = Command({**world.accounts["other"], **{
            key: value for key, value in world.accounts["owner"].items()
            if key.startswith("OS_PROJECT")}}, tmp_path_factory.mktemp("second"))
        second.tell("run", "weekly")
        failed = until(latest, lambda one: one.get("state") == "failed")
        assert "trust" in failed["reason"], failed
        taken = second.json("take-over", "weekly")
        assert taken["rights"]["user_id"] == other.user.id
        assert len(trusts(world, "other")) == 1
        second.tell("run", "weekly")
        done = until(latest, lambda one: one.get("state") == "done")
        second.tell("delete", "weekly", "--with-trigger", "--yes")
        assert trusts(world, "other") == []
        log = second_log(world, done["operation_log_id"])
        remove(world, log["checkpoint_id"])
    finally:
        owner.identity.unassign_project_role_from_user(owner.project, other.user, role)
    world.owner.client.plans.delete(plan["id"])


def second_log(world: World, id: str) -> dict[str, Any]:
    found: dict[str, Any] = world.owner.client.operation_logs.get(id)
    return found


def test_the_life_of_a_plan(world: World, command: Command) -> None:
    made = command.plan("create", "mine", "volume:one", "--tag", "server:gold", "--metadata",
                        "volume:tier=db", "--metadata", "volume:app=shop", "--in", "facts")
    assert [one["name"] for one in made["resources"]] == ["one"]
    assert made["selectors"] == [
        {"type": "OS::Nova::Server", "tags": ["gold"]},
        {"type": "OS::Cinder::Volume", "metadata": {"tier": "db", "app": "shop"}}]
    assert [one["name"] for one in command.plan("list")] == ["mine"]
    shown = command.run("show", "mine", group="plan").stdout
    assert "every server with gold" in shown
    assert "facts" in shown
    checkpoint = command.plan("protect", "mine")
    until(lambda: command.plan("checkpoints", "mine")[0], lambda one: one["status"] != "protecting")
    [kept] = command.plan("checkpoints", "mine")
    assert (kept["id"], kept["status"]) == (checkpoint["id"], "available"), kept
    for words, told in ((("x",), "names nothing to protect"),
                        (("x", "volume:one"), "which provider shall keep it"),
                        (("x", "volume:one", "--in", "gone"), "no provider gone"),
                        (("x", "volume:gone", "--in", "facts"), "gone"),
                        (("x", "--tag", "gold", "--in", "facts"), "TYPE:TAG"),
                        (("x", "volume:one", "--in", "facts", "--param", "volume:colour=red"),
                         "colour")):
        refused = command.run("create", *words, group="plan")
        assert refused.exit_code != 0
        assert told in refused.output, refused.output
    remove(world, kept["id"])
    assert command.run("delete", "mine", "--yes", group="plan").exit_code == 0
    assert command.plan("list") == []


def test_what_makes_no_sense_leaves_nothing(world: World, command: Command) -> None:
    plan = world.plan(name="none")
    for words, told in (
            (("--plan", "none"), "exactly one of"),
            (("--plan", "none", "--cron", "0 2 * * *", "--rrule", "FREQ=DAILY"), "exactly one of"),
            (("--plan", "gone", "--cron", "0 2 * * *"), "no plan gone"),
            (("--plan", "none", "--trigger", "gone"), "no trigger gone"),
            (("--plan", "none", "--cron", "at noon"), "at noon"),
            (("--plan", "none", "--cron", "0 2 * * *", "--time-zone", "Mars"), "Mars")):
        refused = command.run("create", "x", *words)
        assert refused.exit_code != 0
        assert told in refused.output, refused.output
    assert command.run("show", "nobody").exit_code != 0
    assert command.json("list") == []
    assert world.owner.client.triggers.list() == []
    assert trusts(world) == []
    world.owner.client.plans.delete(plan["id"])
