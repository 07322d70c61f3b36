"""How many things stand, learnt from one list."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.services import LOOKED
from karbor.clients.status_poller import FEW, FORGOTTEN, LONGEST, MANY, StatusPoller
from karbor.domain.errors import BadInput, CloudNotFound, CloudUnavailable
from tests.unit.clients.conftest import Stage
from tests.unit.credentials.wire import Clock, Reply, Sent


class Cinder:
    """Backups by id with their status; lists and shows, and counts both."""

    def __init__(self) -> None:
        self.backups: dict[str, str] = {}
        self.unlisted: set[str] = set()
        self.lists = 0
        self.shows = 0
        self.away = False
        self.gate: threading.Event | None = None
        self.inside = threading.Event()

    def list(self, path: str, key: str, **_options: Any) -> list[dict[str, Any]]:
        self.lists += 1
        self.inside.set()
        if self.gate is not None:
            assert self.gate.wait(30)
        if self.away:
            raise CloudUnavailable("away")
        return [{"id": id, "status": status} for id, status in self.backups.items()
                if id not in self.unlisted]

    def get(self, path: str, **_options: Any) -> dict[str, Any]:
        self.shows += 1
        id = path.rsplit("/", 1)[1]
        if id not in self.backups:
            raise CloudNotFound("gone")
        return {"backup": {"id": id, "status": self.backups[id]}}

    @property
    def asked(self) -> tuple[int, int]:
        return self.lists, self.shows


@pytest.fixture
def cinder() -> Any:
    return Cinder()


@pytest.fixture
def poller(clock: Clock) -> StatusPoller:
    return StatusPoller(LOOKED["cinder.backup"][1], "p", clock)


def state(poller: StatusPoller, id: str, cinder: Any) -> str | None:
    seen = poller.look(id, cinder)
    return None if seen is None else str(seen["status"])


def test_a_hundred_waits_share_one_list(poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {str(n): "creating" for n in range(100)}
    for id in cinder.backups:
        poller.touched([id])
    clock.sleep(1)
    assert {state(poller, id, cinder) for id in cinder.backups} == {"creating"}
    assert cinder.asked == (1, 0)
    clock.sleep(poller.interval)
    assert {state(poller, id, cinder) for id in cinder.backups} == {"creating"}
    assert cinder.asked == (2, 0)


def test_within_an_interval_nothing_is_asked(
    poller: StatusPoller, cinder: Any, clock: Clock
) -> None:
    cinder.backups = {"1": "creating"}
    state(poller, "1", cinder)
    cinder.backups["1"] = "available"
    clock.sleep(poller.interval * 0.8)
    assert state(poller, "1", cinder) == "creating"
    clock.sleep(poller.interval * 0.2)
    assert state(poller, "1", cinder) == "available"
    assert cinder.asked == (2, 0)


def test_the_first_look_is_fresh_also_right_after_a_list(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {"1": "creating", "2": "creating"}
    state(poller, "1", cinder)
    cinder.backups["2"] = "available"
    clock.sleep(0.1)
    assert state(poller, "2", cinder) == "available"
    assert cinder.asked == (1, 1)       # the list is too young for another: this one alone


def test_what_a_request_named_is_looked_at_afresh(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {"1": "available"}
    assert state(poller, "1", cinder) == "available"
    clock.sleep(0.1)
    cinder.backups["1"] = "restoring"       # a restore was asked for
    poller.touched(["1"])
    assert state(poller, "1", cinder) == "restoring"
    clock.sleep(5)
    cinder.backups["1"] = "error"
    poller.touched(["1"])
    assert state(poller, "1", cinder) == "error"
    assert cinder.asked == (2, 1)


def test_a_list_asked_for_before_a_request_says_nothing_of_its_effect(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {"1": "available", "2": "available"}
    cinder.gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(state, poller, "1", cinder)
        assert cinder.inside.wait(30)
        clock.sleep(2)
        poller.touched(["2"])                # while the list is under way
        second = pool.submit(state, poller, "2", cinder)
        clock.sleep(0.5)
        cinder.gate.set()
        assert first.result(30) == "available"
        cinder.backups["2"] = "restoring"
        # Answered by a question asked after the request, whichever it is.
        assert second.result(30) in {"available", "restoring"}
    assert sum(cinder.asked) == 2


def test_the_interval_grows_without_news_and_begins_anew_with_them(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {"1": "creating"}
    seen = []
    for _ in range(12):
        state(poller, "1", cinder)
        seen.append(poller.interval)
        clock.sleep(poller.interval)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (1.5, LONGEST)
    cinder.backups["1"] = "available"
    state(poller, "1", cinder)
    assert poller.interval == 1.0


def test_what_a_list_lacks_is_asked_for_by_its_id_before_it_counts_as_gone(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {"1": "creating", "2": "deleting"}
    cinder.unlisted = {"1"}                 # a list may be cut, or filtered
    assert state(poller, "1", cinder) == "creating"
    assert cinder.asked == (1, 1)
    assert state(poller, "2", cinder) == "deleting"
    del cinder.backups["2"]
    clock.sleep(poller.interval)
    assert state(poller, "2", cinder) is None
    assert state(poller, "nonesuch", cinder) is None


def test_a_slow_list_is_asked_for_seldom(poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {"1": "creating"}
    listing = cinder.list

    def slow(*given: Any, **options: Any) -> Any:
        clock.sleep(2)
        return listing(*given, **options)

    cinder.list = slow
    state(poller, "1", cinder)
    assert poller.interval == 10.0
    clock.sleep(3)
    cinder.backups["2"] = "creating"
    assert state(poller, "2", cinder) == "creating"
    assert cinder.asked == (1, 1)


def test_threads_that_come_together_wait_for_one_list(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {str(n): "creating" for n in range(16)}
    poller.touched(cinder.backups)
    clock.sleep(1)
    cinder.gate = threading.Event()
    with ThreadPoolExecutor(16) as pool:
        looks = [pool.submit(state, poller, id, cinder) for id in cinder.backups]
        assert cinder.inside.wait(30)
        cinder.gate.set()
        assert {one.result(30) for one in looks} == {"creating"}
    assert cinder.asked == (1, 0)


def test_a_list_that_fails_is_told_to_all_and_the_next_look_tries_again(
        poller: StatusPoller, cinder: Any) -> None:
    cinder.backups = {"1": "creating"}
    cinder.away = True
    with pytest.raises(CloudUnavailable):
        poller.look("1", cinder)
    cinder.away = False
    assert state(poller, "1", cinder) == "creating"


def test_what_nobody_looks_at_is_forgotten(poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {"1": "available", "2": "creating"}
    state(poller, "1", cinder)
    clock.sleep(FORGOTTEN + 1)
    state(poller, "2", cinder)
    assert set(poller._watched) == {"2"}


# -- as plugins see it ----------------------------------------------------------------------------

VOLUME = "9d7a5a2e-0000-4000-8000-000000000001"
BACKUP = "9d7a5a2e-0000-4000-8000-000000000002"


def test_a_restore_into_a_volume_is_not_taken_for_done_by_an_old_look(
        cloud: OpenStackCloud, stage: Stage) -> None:
    volume = {"id": VOLUME, "status": "available"}

    def answer(sent: Sent) -> Reply:
        if sent.method == "POST":
            volume["status"] = "restoring-backup"
            return Reply(202, json={"restore": {"volume_id": VOLUME}})
        if sent.path.endswith("/detail"):
            return Reply(json={"volumes": [volume]})
        return Reply(json={"volume": volume})

    stage.answer = answer
    assert cloud.look("cinder.volume", VOLUME) == volume
    cloud.api("cinder").post(f"/backups/{BACKUP}/restore", {"restore": {"volume_id": VOLUME}})
    seen = cloud.look("cinder.volume", VOLUME)
    assert seen is not None
    assert seen["status"] == "restoring-backup"


def test_a_thing_made_by_a_request_is_found_in_the_next_list(
        cloud: OpenStackCloud, stage: Stage, clock: Clock) -> None:
    def answer(sent: Sent) -> Reply:
        item = {"id": BACKUP, "status": "creating"}
        return Reply(json={"backup": item} if sent.method == "POST" else {"backups": [item]})

    stage.answer = answer
    cloud.look("cinder.backup", BACKUP)
    made = cloud.api("cinder").post("/backups", {"backup": {"volume_id": VOLUME}})
    clock.sleep(1)
    assert cloud.look("cinder.backup", made["backup"]["id"]) == made["backup"]
    assert [one.path for one in stage.sent] == ["/v3/backups/detail", "/v3/backups",
                                                "/v3/backups/detail"]


def test_operations_of_one_project_share_their_lists(opened: Any, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(json={"servers": [{"id": VOLUME, "status": "ACTIVE"},
                                                        {"id": BACKUP, "status": "BUILD"}]})
    one, other = opened(), opened()
    one.look("nova.server", VOLUME)
    assert other.look("nova.server", VOLUME)["status"] == "ACTIVE"
    assert len(stage.sent) == 1
    assert other.interval("nova.server") == one.interval("nova.server")


def test_images_are_listed_of_the_project_only(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(json={"images": [{"id": VOLUME, "status": "active"}]})
    cloud.look("glance.image", VOLUME)
    assert stage.sent[0].query == {"owner": ["project-demo"], "limit": ["1000"]}
    stage.answer = lambda sent: Reply(json={"id": BACKUP, "status": "active"})
    assert cloud.look("glance.image", BACKUP) == {"id": BACKUP, "status": "active"}


def test_an_unknown_kind_is_told(cloud: OpenStackCloud) -> None:
    with pytest.raises(BadInput, match=r"trove\.database") as caught:
        cloud.look("trove.database", "x")
    assert "cinder.backup" in caught.value.remedy


def test_many_that_are_waited_for_wait_for_the_next_list(cinder: Any, clock: Clock) -> None:
    """Looked at again and again within the second after a list, none is asked for by itself."""
    poller = StatusPoller(LOOKED["cinder.backup"][1], "p", clock)
    for n in range(30):
        cinder.backups[str(n)] = "creating"
        poller.touched([str(n)])
        clock.sleep(poller.first_poll_delay())
        assert state(poller, str(n), cinder) == "creating"
        clock.sleep(0.05)
    assert cinder.shows <= FEW
    assert cinder.lists <= 30


def test_few_are_looked_at_at_once_and_many_with_the_next_list(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    ids = [str(n) for n in range(FEW)]
    cinder.backups = dict.fromkeys(ids, "creating")
    for id in ids:
        poller.touched(["a volume", "a snapshot", id])   # requests name things of other kinds, too
        assert poller.first_poll_delay() == 0
        state(poller, id, cinder)
    assert cinder.asked == (1, FEW - 1)
    clock.sleep(0.25)
    assert poller.first_poll_delay() == 0.75
    clock.sleep(LONGEST + 1)            # nobody has asked for most of them for long
    assert poller.first_poll_delay() == 0


def test_what_lists_showed_until_its_deletion_is_gone_with_the_first_that_does_not(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {str(n): "available" for n in range(50)}
    poller.touched(list(cinder.backups))
    for id in list(cinder.backups):
        assert state(poller, id, cinder) == "available"
    clock.sleep(1)
    poller.touched(list(cinder.backups), deleted=True)
    cinder.backups = {"7": "deleting"}
    assert [state(poller, str(n), cinder) for n in range(50)] == [
        "deleting" if n == 7 else None for n in range(50)]
    assert cinder.asked == (2, 0)


def test_a_list_says_nothing_of_what_it_never_showed_or_nobody_deleted(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {"seen": "available", "unseen": "available"}
    cinder.unlisted = {"unseen"}
    assert state(poller, "seen", cinder) == "available"
    poller.touched(["unseen"], deleted=True)     # deleted, and no list has shown it
    poller.touched(["seen"])                     # shown, and nobody has deleted it
    cinder.unlisted = {"seen", "unseen"}
    clock.sleep(1)
    assert state(poller, "seen", cinder) == "available"
    assert state(poller, "unseen", cinder) == "available"


def test_a_deletion_that_came_after_the_question_is_not_answered_by_it(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    cinder.backups = {"1": "available", "2": "available"}
    assert state(poller, "1", cinder) == state(poller, "2", cinder) == "available"
    clock.sleep(1.5)
    cinder.backups = {"2": "available"}         # a list that is under way lacks it
    cinder.gate = threading.Event()
    cinder.inside.clear()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(state, poller, "2", cinder)
        assert cinder.inside.wait(30)
        poller.touched(["1"], deleted=True)
        cinder.gate.set()
        assert other.result(30) == "available"
    shows = cinder.shows
    assert state(poller, "1", cinder) is None
    assert cinder.shows == shows + 1            # asked for itself


def test_nova_may_leave_out_servers_of_a_cell_that_is_down() -> None:
    assert [kind for kind, (_, looked) in LOOKED.items() if not looked.complete] == ["nova.server"]


def test_nobody_is_kept_waiting_for_a_list_that_takes_long(
        poller: StatusPoller, cinder: Any, clock: Clock) -> None:
    """A list of ten seconds is asked for once a minute; a first look does not block so long."""
    ids = [str(n) for n in range(20)]
    cinder.backups = dict.fromkeys(ids, "creating")
    poller.touched(ids)
    slow = cinder.list

    def ten_seconds(*args: Any, **options: Any) -> Any:
        clock.sleep(10)
        return slow(*args, **options)

    cinder.list = ten_seconds
    assert {state(poller, id, cinder) for id in ids} == {"creating"}
    assert poller.first_poll_delay() == 40
    cinder.backups["new"] = "creating"
    poller.touched(["new"])
    assert state(poller, "new", cinder) == "creating"
    assert cinder.asked == (1, 1)


def test_what_was_only_named_is_forgotten_without_any_list(
    poller: StatusPoller, clock: Clock
) -> None:
    poller.touched([f"old-{n}" for n in range(MANY)])
    clock.sleep(FORGOTTEN + 1)
    poller.touched(["new"])
    assert list(poller._watched) == ["new"]
