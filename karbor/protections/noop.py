"""Every type, and nothing kept but facts: for tests of everything around a protection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from karbor.domain.resource import (
    DATABASE,
    IMAGE,
    NETWORK,
    POD,
    PROJECT,
    SERVER,
    SHARE,
    VOLUME,
    Resource,
)
from karbor.domain.step import Done, Hook, Outcome
from karbor.plugin.protection import Protection, Stages, Target, Task, Work

NOTHING = "nothing is kept of it but facts: there is nothing to restore"


class KeepFacts(Task):
    """Saves `facts`, as they were when the operation was accepted."""

    name = "facts"

    def run(self, work: Work) -> Outcome:
        return Done({"facts": dict(work.resource.facts),
                     "not_kept": [{"field": "everything", "why": NOTHING}]})


class Unproved(Task):
    """Saves `unproved` and no `evidence`: there is nothing that could be proved."""

    name = "unproved"

    def run(self, work: Work) -> Outcome:
        return Done({"unproved": NOTHING})


class RestoreNothing(Task):
    """Makes nothing, and says so."""

    name = "restored"

    def run(self, work: Work) -> Outcome:
        return Done({"not_restored": [{"field": "everything", "why": NOTHING}]})


class Noop(Protection):
    """As in Karbor 1.x, where a project could "protect" with it, was told `available` and had
    nothing. Here a checkpoint of it has no evidence, and every list says why."""

    types: ClassVar[frozenset[str]] = frozenset({
        PROJECT, SERVER, VOLUME, IMAGE, NETWORK, SHARE, DATABASE, POD})

    def protect(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [KeepFacts()]}

    def verify(self, resource: Resource) -> Stages:
        return {Hook.VERIFY: [Unproved()]}

    def restore(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [RestoreNothing()]}

    def held_by(self, resource: Resource) -> str:
        return ""      # Nothing is kept.

    def protect_preview(self, resource: Resource) -> Sequence[str]:
        return (NOTHING,)

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        return (NOTHING,)
