"""The protection that keeps nothing says so wherever somebody might believe otherwise."""

from __future__ import annotations

from karbor.domain.resource import VOLUME, Resource
from karbor.domain.step import Done, Hook
from karbor.plugin import registry
from karbor.protections.noop import KeepFacts, Noop, RestoreNothing, Unproved

RESOURCE = Resource(VOLUME, "v", "data", facts={"size": 3})


class Entry:
    resource = RESOURCE


def test_it_has_the_eight_types_of_karbor_1() -> None:
    assert len(Noop.types) == 8
    assert Noop.types == set(registry.protectables())


def test_facts_are_kept_and_nothing_is_proved_or_restored() -> None:
    plugin = Noop()
    assert [type(one) for one in plugin.protect(RESOURCE)[Hook.MAIN]] == [KeepFacts]
    assert [type(one) for one in plugin.verify(RESOURCE)[Hook.VERIFY]] == [Unproved]
    assert plugin.remove(RESOURCE) == {}
    kept = KeepFacts().run(Entry())         # type: ignore[arg-type]
    assert isinstance(kept, Done)
    assert kept.saved["facts"] == {"size": 3}
    proof = Unproved().run(Entry())         # type: ignore[arg-type]
    assert isinstance(proof, Done)
    assert "evidence" not in proof.saved
    made = RestoreNothing().run(Entry())    # type: ignore[arg-type]
    assert isinstance(made, Done)
    assert "id" not in made.saved
    for told in (kept.saved["not_kept"], made.saved["not_restored"]):
        assert "nothing to restore" in told[0]["why"]
