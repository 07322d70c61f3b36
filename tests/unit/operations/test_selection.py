"""What people type, where the cloud does not have every service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from karbor.domain.errors import CloudUnavailable, ServiceAbsent, UnknownName
from karbor.domain.resource import DATABASE, POD, SERVER, SHARE, Resource
from karbor.operations.selection import select, short
from karbor.plugin.protectable import Listings
from tests.unit.protections.scripted import ScriptedCloud


class Kind:
    parents: frozenset[str] = frozenset()

    def __init__(self, type: str, answer: Sequence[Resource] | Exception) -> None:
        self.type = type
        self._answer = answer

    def list(self, listings: Listings) -> Sequence[Resource]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def dependents(self, parents: Sequence[Resource], listings: Listings
                   ) -> Mapping[str, Sequence[Resource]]:
        return {}


WEB = Resource(SERVER, "s1", "web")
ABSENT = ServiceAbsent("this cloud has no trove", remedy="configure it")


def selected(word: str, database: Sequence[Resource] | Exception = ABSENT) -> list[Resource]:
    kinds = {SERVER: Kind(SERVER, [WEB]), DATABASE: Kind(DATABASE, database)}
    return select([word], kinds, Listings(ScriptedCloud()))     # type: ignore[arg-type]


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
