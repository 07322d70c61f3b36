"""What happens to a credential while a command runs on it: it changes before a service is asked for
work that would outlast it, and a refusal that passes is waited out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.chaos.commands import Ended
from tests.chaos.scene import PROTECT, Scene, created, remaining, trusts
from tests.chaos.verbs import Protect

LIFE, WINDOW, BACKUP = 2.0, 3.0, 3.0
"""Seconds: one backup fits into the time of a fresh token, two one after the other do not."""
SUSPENDED = "waits, at most until "


@pytest.fixture
def built(scene: Scene) -> Iterator[Scene]:
    scene.home.bring_back("built")
    yield scene
    scene.home.configure()


def shown(scene: Scene) -> dict[str, Any]:
    newest = scene.home.newest()
    assert newest
    found: dict[str, Any] = scene.home.json("operation", "show", newest[0], "--no-steps")
    return found


def events(scene: Scene) -> list[str]:
    return [one["text"] for one in shown(scene)["events"]]


def user(scene: Scene) -> str:
    return next(id for id, one in scene.double.dump()["keystone.user"].items()
                if one["name"] == "demo")


def project(scene: Scene) -> str:
    return next(id for id, one in scene.double.dump()["keystone.project"].items()
                if one["name"] == "demo")


@pytest.mark.parametrize("strategy", ["auto", "trust"])
def test_backups_one_after_the_other_each_begin_with_a_token_that_outlasts_them(
        built: Scene, strategy: str) -> None:
    built.home.configure(f"strategy = {strategy}\nallow_expired_window = {WINDOW:.0f}\n"
                         "[limits]\nproject_cinder_backups = 1\nprovider_cinder_backups = 1")
    verb, start, mark = Protect(), remaining(built.double), len(built.double.ledger())
    built.double.set(token_life=LIFE, window=WINDOW, seconds=BACKUP, backups_need_tokens=True,
                     looks={"*": 0, "cinder.backup": 1000})
    verb.check(built, built.home.karbor(*PROTECT), start, mark)
    assert trusts(built.double) == set()
    changed = [one for one in events(built) if one.startswith("credential changed")]
    assert len(changed) == (strategy == "auto")
    if changed:
        assert "a service was to be asked for work of up to" in changed[0]


class Refused:
    """A command whose credential is refused as soon as it asks for the first backup, until `heal`.
    `harm` and `heal` are what happens to the user."""

    def __init__(self, scene: Scene, harm: Callable[[], None], heal: Callable[[], None]) -> None:
        self.scene, self.harm, self.heal = scene, harm, heal

    def run(self) -> Ended:
        """Heal it as soon as the operation says that it waits."""
        double = self.scene.double
        double.fault("delay", method="POST", path="/v3/backups$", seconds=1.0)
        stop = threading.Event()

        def watch() -> None:
            while not double.faults()[0]["seen"] and not stop.wait(0.05):
                pass
            self.harm()
            while not any(SUSPENDED in one for one in self._told()) and not stop.wait(0.2):
                pass
            self.heal()
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                return self.scene.home.karbor(*PROTECT)
            finally:
                stop.set()
                watching.result()

    def _told(self) -> list[str]:
        return self.scene.home.told()


def harms(scene: Scene) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    double = scene.double
    who, where = user(scene), project(scene)

    def edit(kind: str, id: str, **members: Any) -> Callable[[], None]:
        return lambda: double.edit(kind, id, **members)
    account = next(id for id, one in double.dump()["keystone.user"].items()
                   if one["name"] == "karbor")
    return {
        "project disabled": (edit("keystone.project", where, enabled=False),
                             edit("keystone.project", where, enabled=True)),
        "user disabled": (edit("keystone.user", who, enabled=False),
                          edit("keystone.user", who, enabled=True)),
        "role lost": (edit("keystone.user", who, roles=["reader"]),
                      edit("keystone.user", who, roles=["member", "reader"])),
        "karbor's own account": (edit("keystone.user", account, enabled=False),
                                 edit("keystone.user", account, enabled=True)),
    }


@pytest.mark.parametrize("cases", [
    [("project disabled", "trust"), ("project disabled", "own_login")],
    [("user disabled", "trust"), ("user disabled", "own_login")],
    [("role lost", "trust"), ("karbor's own account", "trust")],
], ids=lambda cases: ", ".join(f"{what} ({strategy})" for what, strategy in cases))
def test_what_is_taken_back_for_a_while_costs_no_operation(
        scenes: list[Scene], cases: list[tuple[str, str]]) -> None:
    """Side by side: a refused login is not tried again for half a minute."""
    with ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(taken_back_for_a_while, scenes, cases))


def taken_back_for_a_while(scene: Scene, case: tuple[str, str]) -> None:
    what, strategy = case
    scene.home.bring_back("built")
    scene.home.configure(f"strategy = {strategy}")
    try:
        verb, start, mark = Protect(), remaining(scene.double), len(scene.double.ledger())
        ended = Refused(scene, *harms(scene)[what]).run()
        verb.check(scene, ended, start, mark)
        told = events(scene)
        assert [SUSPENDED in text for text in told].count(True) == 1, told
        assert any(text.startswith("Keystone accepts what the operation runs on again")
                   for text in told)
        assert created(scene.double, mark)["cinder.backup"] == 2
    finally:
        scene.home.configure()


def ended_with_something_left(scene: Scene) -> str:
    """The id of a protect whose project was disabled for good, at its first backup."""
    scene.home.configure("strategy = trust\nrefusal_wait = 0")
    disabled = harms(scene)["project disabled"][0]
    ended = Refused(scene, disabled, lambda: None).run()
    assert ended.code == 1, ended
    assert "karbor operation cancel " in ended.err
    scene.double.heal()
    newest = scene.home.newest()
    assert newest
    assert newest[1] == "failed"
    assert len(shown(scene)["result"]["left"]) >= 3       # snapshots and an image at least
    return newest[0]


@pytest.mark.parametrize("command", ["cancel", "resume"])
def test_what_a_dead_credential_left_behind_is_removed_when_somebody_can_log_in_again(
        built: Scene, command: str) -> None:
    before = remaining(built.double)
    id = ended_with_something_left(built)
    left = shown(built)["result"]["left"]
    refused = built.home.karbor("operation", command, id)
    assert refused.code == 3, refused
    assert shown(built)["result"]["left"] == left

    harms(built)["project disabled"][1]()
    ended = built.home.karbor("operation", command, id)
    assert ended.code == 0, ended
    assert f"what was left of operation {id} is removed" in ended.err
    now = shown(built)
    assert (now["state"], "left" in now["result"]) == ("failed", False)
    assert any("what was left is removed with a new login" in one for one in events(built))
    after = remaining(built.double)
    after.pop("swift.container", None)          # Cinder makes it and leaves it
    assert after == before
    assert trusts(built.double) == set()

    again = built.home.karbor("operation", command, id)
    assert "there is nothing to resume or to remove" in again.err
    assert again.code not in (0, 1)


def test_a_removal_of_what_was_left_that_is_killed_goes_on(built: Scene) -> None:
    before = remaining(built.double)
    id = ended_with_something_left(built)
    harms(built)["project disabled"][1]()

    def arm(pid: int) -> None:
        built.double.fault("kill-after", pid=pid, method="DELETE", path="/snapshots/")

    assert built.home.karbor("operation", "cancel", id, before=arm).killed
    built.double.heal()
    assert built.home.newest() == (id, "undoing")
    built.home.karbor("operation", "resume", id)
    now = shown(built)
    assert (now["state"], "left" in now["result"]) == ("failed", False)
    after = remaining(built.double)
    after.pop("swift.container", None)
    assert after == before
    assert trusts(built.double) == set()


def test_what_cannot_be_removed_even_then_stays_listed(built: Scene) -> None:
    id = ended_with_something_left(built)
    harms(built)["project disabled"][1]()
    built.double.fault("answer", method="DELETE", path="/snapshots/", status=403, times=99)
    ended = built.home.karbor("operation", "cancel", id)
    assert ended.code == 1, ended
    assert f"could not be removed (see why above, and repeat: karbor operation cancel {id})" in (
        ended.err)
    assert {one["stage"] for one in shown(built)["result"]["left"]} >= {"snapshot"}
    built.double.heal()
    assert built.home.karbor("operation", "cancel", id).code == 0


@pytest.mark.parametrize("times", [1, 2])      # the backup of one volume: once, and then again
def test_a_backup_that_failed_after_its_token_had_ended_is_made_anew_once(
        built: Scene, times: int) -> None:
    """Nothing else is made anew here: it is the token that counts."""
    built.home.configure("\n[waits]\nmade_anew = 0\n[limits]\nproject_cinder_backups = 1")
    start, mark = remaining(built.double), len(built.double.ledger())
    built.double.set(
        token_life=1.0, seconds=2.5, looks={"*": 0, "cinder.backup": 1000},
        outcomes=[{"kind": "cinder.backup", "nth": 1, "status": "error",
                   "reason": "Object PUT failed: 401 Unauthorized"}] * times)
    ended = built.home.karbor(*PROTECT)
    made = created(built.double, mark)["cinder.backup"]
    anew = [one for one in events(built) if "is made anew (1 of 1)" in one]
    assert len(anew) == 1
    if times == 1:
        assert made == 3
        assert ended.code == 0, ended
        gone = [one for one in built.double.ledger()[mark:] if one["event"] == "removed"
                and one["kind"] == "cinder.backup"]
        assert len(gone) == 1
    else:
        assert made == 2
        assert ended.code == 1, ended
        assert "401 Unauthorized" in ended.err
        after = remaining(built.double)
        after.pop("swift.container", None)
        assert after == start


@pytest.mark.parametrize("database", ["there", "lost"])
def test_a_deletion_removes_what_a_failed_protect_had_left(built: Scene, database: str) -> None:
    """Or it fails: it never says deleted while a snapshot or an image stays."""
    before = remaining(built.double)
    ended_with_something_left(built)
    harms(built)["project disabled"][1]()
    built.home.configure()
    if database == "lost":
        for one in built.home.state.glob("karbor.sqlite*"):
            one.unlink()
    built.double.fault("answer", method="DELETE", path="/snapshots/", status=403, times=99)
    refused = built.home.karbor("checkpoint", "delete", "safe", "--yes")
    assert refused.code != 0, refused
    assert "deleted in" not in refused.err
    assert "cinder.snapshot" in built.double.dump()

    built.double.heal()
    [listed] = built.home.json("checkpoint", "list", "--all")
    ended = built.home.karbor("checkpoint", "delete", listed["id"], "--yes")
    assert ended.code == 0, ended
    after = remaining(built.double)
    after.pop("swift.container", None)
    assert after == before
    assert built.home.json("checkpoint", "list", "--all") == []
