"""Plugins that do not keep their contract: each is named, with what it was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from karbor.domain.errors import BadInput, PluginFault
from karbor.domain.resource import VOLUME, Resource
from karbor.domain.step import Again, Done, Failed, Hook, Progress
from karbor.plugin.checked import checked_protectable, checked_protection, outcome_of
from karbor.plugin.protection import Protection
from karbor.protections.noop import KeepFacts, Noop

ONE = Resource(VOLUME, "1", "one")
NAMED = r"the protection plugin acme, asked for {member}, "

WRONG: list[tuple[str, tuple[Any, ...], Any, str]] = [
    ("protect", (ONE,), None, "returned None instead of a mapping of hooks to stages"),
    ("protect", (ONE,), {"main": KeepFacts()}, "instead of a sequence of stages"),
    ("protect", (ONE,), {"sometime": [KeepFacts()]}, "named the hook 'sometime', which is none"),
    ("restore", (ONE,), {Hook.MAIN: [KeepFacts]}, "instead of a Stage or Task"),
    ("verify", (ONE,), [KeepFacts()], "returned a list instead of a mapping"),
    ("remove", (ONE,), {Hook.MAIN: ["all"]}, "gave for main a str instead of a Stage or Task"),
    ("protect_obstacles", ([ONE], None), None, "returned None instead of a sequence of obstacles"),
    ("restore_obstacles", ([ONE], None), ["full"], "returned a str among its obstacles"),
    ("protect_preview", (ONE,), None, "returned None instead of a sequence of lines"),
    ("restore_preview", (ONE, None), "a line", "returned a str instead of a sequence of lines"),
    ("held_by", (ONE,), None, "returned None instead of a text"),
    ("bury", ({}, None), None, "returned None instead of True or False"),
    ("options_schema", ("protect",), {"properties": ["name"]}, "whose properties are no mapping"),
    ("options_schema", ("protect",), {"properties": {"a": {"default": {1}}}}, "is not JSON"),
]


@pytest.mark.parametrize(("member", "arguments", "answer", "words"), WRONG)
def test_a_protection_that_answers_something_else_is_named(
        member: str, arguments: tuple[Any, ...], answer: Any, words: str) -> None:
    plugin = type("Acme", (Noop,), {member: lambda *_all, **_more: answer})()
    with pytest.raises(PluginFault, match=NAMED.format(member=member)) as caught:
        getattr(checked_protection(plugin, "acme"), member)(*arguments)
    assert words in caught.value.message


@pytest.mark.parametrize("member", [one[0] for one in WRONG])
def test_a_protection_that_raises_what_is_no_error_of_karbor_is_named(
        member: str, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_all: object) -> None:
        raise ZeroDivisionError("division by zero")

    plugin = checked_protection(type("Acme", (Noop,), {member: broken})(), "acme")
    with pytest.raises(PluginFault, match=NAMED.format(member=member)
                       + "failed with ZeroDivisionError: division by zero"):
        getattr(plugin, member)(ONE, None)
    assert "ZeroDivisionError" in caplog.text       # with its traceback


def test_an_error_of_karbor_passes_as_it_is() -> None:
    def refuse(*_all: object) -> None:
        raise BadInput("not this one")

    plugin = checked_protection(type("Acme", (Noop,), {"protect": refuse})(), "acme")
    with pytest.raises(BadInput, match=r"^not this one"):
        plugin.protect(ONE)


def test_what_keeps_the_contract_passes() -> None:
    plugin: Protection = checked_protection(Noop(), "noop")
    assert plugin.types == Noop.types
    assert [stage.name for stage in plugin.protect(ONE)[Hook.MAIN]] == ["facts"]
    assert plugin.options_schema("protect")["type"] == "object"


@pytest.mark.parametrize(("member", "answer", "words"), [
    ("list", None, "returned None instead of a sequence of resources"),
    ("list", [{"id": "1"}], "returned a dict among its resources"),
    ("dependents", [ONE], "returned a list instead of a mapping of parents' keys to resources"),
    ("dependents", {"other": [ONE]}, "told what belongs to 'other', of which it was not asked"),
    ("dependents", {ONE.key: [ONE.key]}, "returned a str among its resources"),
    ("dependents", {ONE.key: None}, "returned None instead of a sequence of resources"),
])
def test_a_protectable_that_answers_something_else_is_named(
        member: str, answer: Any, words: str) -> None:
    acme: Any = type("Acme", (), {"type": VOLUME, "parents": frozenset(),
                                  member: lambda *_all: answer})()
    plugin = checked_protectable(acme, "acme")
    with pytest.raises(PluginFault, match=f"the protectable acme, asked for {member}, ") as caught:
        getattr(plugin, member)(*([[ONE], None] if member == "dependents" else [None]))
    assert words in caught.value.message


def _raises() -> Any:
    raise AttributeError("no such thing")


@pytest.mark.parametrize(("run", "words"), [
    (lambda: {"id": "1"}, "returned a dict instead of Done, Again or Failed"),
    (lambda: None, "returned None instead of Done, Again or Failed"),
    (lambda: Done, "returned a type instead of Done, Again or Failed"),
    (lambda: Done(None), "gave what it saved as a NoneType instead of a mapping"),
    (lambda: Done({"when": object()}), "gave what it saved as something that is not JSON"),
    (lambda: Done({"share": float("nan")}), "gave what it saved as something that is not JSON"),
    (lambda: Done({}, handle={1, 2}), "gave its handle as a set instead of a mapping"),
    (lambda: Again(handle={"ids": {1, 2}}), "gave its handle as something that is not JSON"),
    (lambda: Again("soon"), "wants to be called again after 'soon', which is no number of seconds"),
    (lambda: Again(-1.0), "wants to be called again after -1.0"),
    (lambda: Again(float("inf")), "wants to be called again after inf"),
    (lambda: Again(progress="half"), "told its progress as a str instead of Progress"),
    (lambda: Again(wait="Cinder"), "told its waiting as a str instead of Wait"),
    (lambda: Failed("no space"), "failed with a str instead of a KarborError"),
    (_raises, "failed with AttributeError: no such thing"),
])
def test_a_stage_that_returns_something_else_is_named_with_its_plugin(
        run: Callable[[], Any], words: str) -> None:
    with pytest.raises(PluginFault) as caught:
        outcome_of(run, "protection plugin acme", "dump")
    assert caught.value.message.startswith("the protection plugin acme, in its stage dump, ")
    assert words in caught.value.message


@pytest.mark.parametrize("outcome", [
    Done({"id": "1", "sizes": [1, 2]}), Again(1, {"id": "1"}, Progress(1, 2)), Again(),
    Failed(BadInput("no"))])
def test_what_a_stage_may_return_passes(outcome: Any) -> None:
    assert outcome_of(lambda: outcome, "protection plugin acme", "dump") is outcome
