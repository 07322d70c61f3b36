"""What is asked once for many."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor.domain.errors import CloudUnavailable
from karbor.plugin.list_cache import FRESH, ListCache, list_cache
from karbor.plugin.protectable import DiscoveryLists
from tests.unit.credentials.wire import Clock
from tests.unit.protections.scripted import ScriptedCloud


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_answer_serves_others_while_it_is_fresh(clock: Clock) -> None:
    asked, answers = ListCache(clock), iter("abc")
    assert asked.ask("x", lambda: next(answers)) == "a"
    clock.sleep(FRESH)
    assert asked.ask("x", lambda: next(answers)) == "a"
    clock.sleep(0.1)
    assert asked.ask("x", lambda: next(answers)) == "b"
    assert asked.ask("y", lambda: next(answers)) == "c"


def test_who_needs_a_later_answer_gets_one(clock: Clock) -> None:
    asked, answers = ListCache(clock), iter("ab")
    asked.ask("x", lambda: next(answers))
    clock.sleep(1)
    came = clock()
    assert asked.ask("x", lambda: next(answers), since=came) == "b"
    assert asked.ask("x", lambda: next(answers), since=came) == "b"


def test_threads_that_want_the_same_wait_for_one_question(clock: Clock) -> None:
    asked, begun, go = ListCache(clock), threading.Event(), threading.Event()
    questions = []

    def ask() -> str:
        questions.append(1)
        begun.set()
        assert go.wait(30)
        return "a"

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(asked.ask, "x", ask)
        assert begun.wait(30)
        others = [pool.submit(asked.ask, "x", ask) for _ in range(7)]
        assert asked.ask("y", lambda: "other") == "other"       # nobody waits for another's list
        go.set()
        assert {one.result(30) for one in (first, *others)} == {"a"}
    assert len(questions) == 1


def test_an_error_is_no_answer(clock: Clock) -> None:
    asked = ListCache(clock)

    def fails() -> str:
        raise CloudUnavailable("away")

    with pytest.raises(CloudUnavailable):
        asked.ask("x", fails)
    assert asked.ask("x", lambda: "a") == "a"


def test_what_serves_nobody_any_more_is_forgotten(clock: Clock) -> None:
    asked = ListCache(clock)
    asked.ask("x", lambda: [0] * 1000)
    clock.sleep(3 * FRESH)
    asked.ask("y", list)
    assert list(asked._answers) == ["y"]


def test_each_cloud_has_answers_of_its_own_and_a_discovery_new_ones() -> None:
    first, second = (ScriptedCloud(cinder={"LIST /volumes/detail": []}) for _ in range(2))
    assert list_cache(first) is list_cache(first) is not list_cache(second)
    for _ in range(3):
        listings = DiscoveryLists(first)
        for _ in range(3):
            listings.list("cinder", "/volumes/detail", "volumes")
    assert len(first.log) == 3
