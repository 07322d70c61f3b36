"""Two providers, a checkpoint in the bank of the first, and a way to copy it into the other's."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from karbor_testing.bank import MemoryBank
from karbor_testing.journal import MemoryJournal

from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Evidence
from karbor.domain.errors import ObjectMissing
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.operation import Operation, Verb
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Done, Hook, Outcome
from karbor.engine.driver import Driver
from karbor.operations.copy import request_of
from karbor.operations.execution_context import ExecutionContext, Provider
from karbor.operations.runner import OperationRunner
from karbor.plugin.bank import Bank
from karbor.plugin.protection import Protection, Stages, Task, Work

BOX, THING = "Toy::Box", "Toy::Thing"
BODY = {"bytes/pieces/1": b"one" * 100, "bytes/pieces/2": b"two", "record.json": b"{}"}


class Keep(Task):
    name = "keep"

    def run(self, work: Work) -> Outcome:
        for key, body in BODY.items():
            work.bank.put(key, [work.resource.id.encode() + body])
        return Done({"keys": sorted(BODY), "not_kept": [{"field": "smell", "why": "no sensor"}]})


class Look(Task):
    """Reads what the head speaks of."""

    name = "look"
    evidence = Evidence.CHECKSUMS

    def run(self, work: Work) -> Outcome:
        for key in (work.kept("keep") or work.saved("keep"))["keys"]:
            if not b"".join(work.bank.get(key)):
                raise ObjectMissing(f"{key} is empty")
        return Done({"evidence": self.evidence, "unproved": ""})


class Counted(Look):
    """Says of itself that it reads no bytes."""

    evidence = Evidence.OBJECTS


class Things(Protection):
    types = frozenset({THING})
    holder = ""
    proof: type[Task] = Look

    def protect(self, resource: Resource) -> Stages:
        return {Hook.MAIN: [Keep()]}

    def verify(self, resource: Resource) -> Stages:
        return {Hook.VERIFY: [self.proof()]}

    def held_by(self, resource: Resource) -> str:
        return self.holder


class Boxes(Protection):
    types = frozenset({BOX})


class Pair:
    """`protect` and `copy` run to their ends, or as far as banks and journal let them."""

    def __init__(self, here: Bank | None = None, there: Bank | None = None) -> None:
        self._now = itertools.count(1_800_000_000)
        self._ids = itertools.count(1)
        self.journal: Any = MemoryJournal()
        self.source = self.provider("first", here or MemoryBank())
        self.target = self.provider("second", there or MemoryBank())
        self.graph = ResourceGraph.build([Resource(BOX, "b", "box")], lambda level: {
            one.key: [Resource(THING, "t1", "one"), Resource(THING, "t2", "two")]
            for one in level if one.type == BOX})

    @staticmethod
    def provider(name: str, bank: Bank) -> Provider:
        return Provider(f"id-{name}", name, bank, {THING: Things(), BOX: Boxes()})

    def change(self, which: str, **changes: Any) -> None:
        setattr(self, which, replace(getattr(self, which), **changes))

    def setting(self, provider: Provider) -> ExecutionContext:
        known = {one.id: one for one in (self.target, self.source)}
        nowhere: Any = None
        return ExecutionContext(provider, {}, nowhere, lambda: float(next(self._now)),
                                providers=known.__getitem__)

    @property
    def originals(self) -> CheckpointRepository:
        return CheckpointRepository(self.source.bank, "p")

    @property
    def copies(self) -> CheckpointRepository:
        return CheckpointRepository(self.target.bank, "p")

    def add(self, verb: Verb, request: dict[str, Any]) -> str:
        id = f"op{next(self._ids)}"
        now = float(next(self._now))
        self.journal.add(Operation(id, verb, "p", {}, {}, request, time_ordered_uuid(now),
                                   created_at=now))
        return id

    def drive(self, id: str, provider: Provider) -> Operation:
        """A new process each time."""
        Driver(self.journal, OperationRunner(self.setting(provider))).drive(id)
        found: Operation = self.journal.operation(id)
        return found

    def protect(self) -> str:
        """The id of a checkpoint in the first bank."""
        from karbor.operations import protect

        discover: Callable[..., ResourceGraph] = lambda *_: self.graph  # noqa: E731
        before, protect.discover = protect.discover, discover     # type: ignore[assignment]
        try:
            id = self.add(Verb.PROTECT, {
                "resources": [], "name": "nightly", "parameters": {THING: {"depth": 3}},
                "origin": {"plan": {"id": "plan-1"}, "created_by": "operation-engine"}})
            setting = replace(self.setting(self.source), connect=lambda _operation: None)  # type: ignore[arg-type, return-value]
            Driver(self.journal, OperationRunner(setting)).drive(id)
        finally:
            protect.discover = before
        operation = self.journal.operation(id)
        assert operation.state == "done", operation.error
        return str(operation.checkpoint_id)

    def ask(self, checkpoint_id: str) -> str:
        return self.add(Verb.COPY, request_of(self.originals.show(checkpoint_id), self.source,
                                              self.target))

    def copy(self, checkpoint_id: str) -> Operation:
        return self.drive(self.ask(checkpoint_id), self.target)
