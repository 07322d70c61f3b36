"""What people type, where the cloud does not have every service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from karbor.domain.errors import AmbiguousName, CloudUnavailable, ServiceAbsent, UnknownName
from karbor.domain.resource import DATABASE, POD, SERVER, SHARE, Resource
from karbor.operations.selection import select, short
from karbor.plugin.protectable import DiscoveryLists
from tests.unit.protections.scripted import ScriptedCloud


class Kind:
    parents: frozenset[str] = frozenset()

    def __init__(self, type: str, answer: Sequence[Resource] | Exception) -> None:
        self.type = type
        self._answer = answer

    def list(self, listings: DiscoveryLists) -> Sequence[Resource]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def dependents(self, parents: Sequence[Resource], listings: DiscoveryLists
                   ) -> Mapping[str, Sequence[Resource]]:
        return {}


WEB = Resource(SERVER, "s1", "web")
ABSENT = ServiceAbsent("this cloud has no trove", remedy="configure it")


def selected(word: str, database: Sequence[Resource] | Exception = ABSENT) -> list[Resource]:
    kinds = {SERVER: Kind(SERVER, [WEB]), DATABASE: Kind(DATABASE, database)}
    return select([word], kinds, DiscoveryLists(ScriptedCloud()))     # type: ignore[arg-type]


def test_a_name_is_found_in_a_cloud_that_lacks_other_services() -> None:
    assert selected("web") == [WEB]
    with pytest.raises(UnknownName):
        selected("orders")


@pytest.mark.parametrize("word", ["database:orders", f"{DATABASE}:orders", f"{DATABASE}#id"])
def test_who_asks_for_what_the_cloud_has_no_service_for_is_told(word: str) -> None:
    with pytest.raises(ServiceAbsent, match="no trove"):
        selected(word)


def test_a_service_that_does_not_answer_is_not_taken_for_one_that_is_absent() -> None:
    with pytest.raises(CloudUnavailable):
        selected("web", CloudUnavailable("trove is down"))


def test_types_are_called_what_people_call_them() -> None:
    assert [short(one) for one in (SERVER, SHARE, POD, DATABASE)] == [
        "server", "share", "pod", "database"]


def test_of_several_of_one_name_it_is_told_which_one_a_restore_has_made() -> None:
    """The newest first; without a word of what nothing is known of."""
    kinds = {SERVER: Kind(SERVER, [
        Resource(SERVER, "unknown", "web"),
        Resource(SERVER, "old", "web", facts={"created_at": "2026-01-02T03:04:05Z"}),
        Resource(SERVER, "new", "web", facts={"created_at": "2026-11-30T22:15:00.000000"})])}
    with pytest.raises(AmbiguousName, match="web means several resources") as caught:
        select(["web"], kinds, DiscoveryLists(ScriptedCloud()),     # type: ignore[arg-type]
               lambda: {"new": "by the restore of shop"})
    assert caught.value.remedy == (
        "give one of: server:new (made 2026-11-30 22:15:00 UTC, by the restore of shop), "
        "server:old (made 2026-01-02 03:04:05 UTC), server:unknown")


def test_where_things_come_from_is_not_asked_without_need() -> None:
    def origins() -> dict[str, str]:
        raise AssertionError

    assert select(["web"], {SERVER: Kind(SERVER, [WEB])},
                  DiscoveryLists(ScriptedCloud()), origins) == [WEB]     # type: ignore[arg-type]
