"""Checked plugins: what a plugin answers is looked at once, where it comes from.

A plugin is code of somebody else. One that returns the wrong thing, or raises what is no error of
Karbor's, must be named, and must not be met as a riddle three calls later.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from karbor.domain.errors import KarborError, PluginFault
from karbor.domain.resource import Resource
from karbor.domain.step import Again, Done, Failed, Hook, Outcome, Progress, Wait
from karbor.plugin.protectable import Protectable
from karbor.plugin.protection import Obstacle, Protection, Stage, Task

LOG = logging.getLogger(__name__)

Check = Callable[[Any, Sequence[Any]], str]
"""What is wrong with an answer, given the arguments of the question; "" for nothing."""


def checked_protection(plugin: Protection, name: str) -> Protection:
    """Return the protection with its answers checked: PluginFault names the plugin whose answer is
    not what the contract says."""
    return cast("Protection", _Checked(plugin, f"protection plugin {name}", _PROTECTION))


def checked_protectable(plugin: Protectable, name: str) -> Protectable:
    """Return the protectable with its answers checked, as `checked_protection`."""
    return cast("Protectable", _Checked(plugin, f"protectable {name}", _PROTECTABLE))


def name_of(plugin: object) -> str:
    """Return what a plugin is called when it is told of."""
    if isinstance(plugin, _Checked):
        return plugin._name
    return f"plugin {type(plugin).__module__}.{type(plugin).__qualname__}"


def outcome_of(run: Callable[[], Outcome], plugin: str, stage: str) -> Outcome:
    """Return what an entry of a stage returns, checked. Raises PluginFault for what no stage may
    return or raise; KarborError passes."""
    where = f"the {plugin}, in its stage {stage},"
    outcome: Outcome = _asked(run, where)
    if problem := _outcome(outcome):
        raise PluginFault(f"{where} {problem}")
    return outcome


class _Checked:
    """Stands for a plugin: questions pass, answers are checked."""

    def __init__(self, plugin: object, name: str, checks: Mapping[str, Check]) -> None:
        self._plugin = plugin
        self._name = name
        self._checks = checks

    def __getattr__(self, member: str) -> Any:
        found = getattr(self._plugin, member)
        check = self._checks.get(member)
        if check is None:
            return found

        def ask(*arguments: Any, **options: Any) -> Any:
            where = f"the {self._name}, asked for {member},"
            answer = _asked(lambda: found(*arguments, **options), where)
            if problem := check(answer, arguments):
                raise PluginFault(f"{where} {problem}")
            return answer

        return ask

    def __repr__(self) -> str:
        return f"<{self._name}>"


def _asked(question: Callable[[], Any], where: str) -> Any:
    try:
        return question()
    except KarborError:
        raise
    except Exception as error:
        LOG.exception("%s failed", where.rstrip(","))
        raise PluginFault(f"{where} failed with {type(error).__name__}: {error}") from error


# -- what may be answered -----------------------------------------------------------------------

def _instead(answer: object, wanted: str) -> str:
    kind = "None" if answer is None else f"a {type(answer).__name__}"
    return f"returned {kind} instead of {wanted}"


def _outcome(outcome: object) -> str:
    match outcome:
        case Done(saved=saved, handle=handle):
            return (_small("what it saved", saved)
                    or ("" if handle is None else _small("its handle", handle)))
        case Again(after=after, handle=handle, progress=progress, wait=wait):
            if isinstance(after, bool) or not isinstance(after, int | float) \
                    or not math.isfinite(after) or after < 0:
                return f"wants to be called again after {after!r}, which is no number of seconds"
            if progress is not None and not isinstance(progress, Progress):
                return "told its progress as " + _instead(progress, "Progress").split(" ", 1)[1]
            if wait is not None and not isinstance(wait, Wait):
                return "told its waiting as " + _instead(wait, "Wait").split(" ", 1)[1]
            return "" if handle is None else _small("its handle", handle)
        case Failed(error=error):
            if isinstance(error, KarborError):
                return ""
            return "failed with " + _instead(error, "a KarborError").split(" ", 1)[1]
        case _:
            return _instead(outcome, "Done, Again or Failed")


def _small(what: str, value: object) -> str:
    if not isinstance(value, Mapping):
        return f"gave {what} as a {type(value).__name__} instead of a mapping"
    try:
        json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"gave {what} as something that is not JSON: {error}"
    return ""


def _stages(answer: object, _arguments: Sequence[Any]) -> str:
    if not isinstance(answer, Mapping):
        return _instead(answer, "a mapping of hooks to stages")
    for hook, stages in answer.items():
        if hook not in frozenset(Hook):
            return f"named the hook {hook!r}, which is none"
        if isinstance(stages, str) or not isinstance(stages, Sequence):
            return f"gave for {hook} a {type(stages).__name__} instead of a sequence of stages"
        for stage in stages:
            if not isinstance(stage, Stage | Task):
                return f"gave for {hook} a {type(stage).__name__} instead of a Stage or Task"
            if not isinstance(getattr(stage, "name", None), str) or not stage.name:
                return f"gave for {hook} a {type(stage).__name__} without a name"
    return ""


def _many(kind: type, word: str) -> Check:
    def check(answer: object, _arguments: Sequence[Any]) -> str:
        if isinstance(answer, str | bytes) or not isinstance(answer, Sequence):
            return _instead(answer, f"a sequence of {word}")
        for one in answer:
            if not isinstance(one, kind):
                return f"returned a {type(one).__name__} among its {word}"
        return ""

    return check


def _one(kind: type, word: str) -> Check:
    def check(answer: object, _arguments: Sequence[Any]) -> str:
        return "" if isinstance(answer, kind) else _instead(answer, word)

    return check


def _schema(answer: object, _arguments: Sequence[Any]) -> str:
    if not isinstance(answer, Mapping):
        return _instead(answer, "a JSON Schema")
    known = answer.get("properties", {})
    if not isinstance(known, Mapping) or not all(
            isinstance(name, str) and isinstance(one, Mapping) for name, one in known.items()):
        return "returned a JSON Schema whose properties are no mapping of names to schemas"
    return _small("its JSON Schema", answer)


def _dependents(answer: object, arguments: Sequence[Any]) -> str:
    if not isinstance(answer, Mapping):
        return _instead(answer, "a mapping of parents' keys to resources")
    keys = {parent.key for parent in arguments[0]}
    for key, resources in answer.items():
        if key not in keys:
            return f"told what belongs to {key!r}, of which it was not asked"
        if problem := _many(Resource, "resources")(resources, arguments):
            return problem
    return ""


_PROTECTION: Mapping[str, Check] = {
    **dict.fromkeys(("protect", "restore", "verify", "remove"), _stages),
    **dict.fromkeys(("protect_obstacles", "restore_obstacles"), _many(Obstacle, "obstacles")),
    **dict.fromkeys(("protect_preview", "restore_preview"), _many(str, "lines")),
    "held_by": _one(str, "a text"), "bury": _one(bool, "True or False"),
    "options_schema": _schema}

_PROTECTABLE: Mapping[str, Check] = {
    "list": _many(Resource, "resources"), "dependents": _dependents}
