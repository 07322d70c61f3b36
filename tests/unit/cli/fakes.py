"""A Local that does nothing but answer, for what the command line makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from click.testing import CliRunner, Result

from karbor.application.admission import Draft
from karbor.application.checkpoint_listing import CheckpointListing
from karbor.cli.program import karbor
from karbor.cmd.embedded import Driver
from karbor.domain.checkpoint import Checkpoint, CheckpointState, Evidence, Kept
from karbor.domain.errors import KarborError, NotFound
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.resource import IMAGE, SERVER, VOLUME, Resource, ResourceGraph
from karbor.domain.step import Hook, Progress, Step, StepState

WEB = Resource(SERVER, "s1", "web-1", facts={"status": "ACTIVE"})
DISK = Resource(IMAGE, "i1", "debian (disk of web-1)", within="s1")
DATA = Resource(VOLUME, "v1", "data", facts={"status": "in-use"})


def graph() -> ResourceGraph:
    return ResourceGraph.build(
        [WEB], lambda level: {one.key: [DISK, DATA] if one == WEB else [] for one in level})


def operation(**changes: Any) -> Operation:
    made = Operation(
        "0d3c9f5e-0000-4000-8000-000000000001", Verb.PROTECT, "p1", {"user_id": "u1"},
        {"rung": "own login", "cloud": "mine", "deadline": None, "why": "it renews itself",
         "sealed": "gAAAA-sealed"},
        {"name": "web-1"}, "01a2-checkpoint", created_at=1000.0)
    return replace(made, **changes)


def planned(**changes: Any) -> Operation:
    return operation(**{"plan": {"graph": graph().to_dict()},
                        "state": OperationState.RUNNING, **changes})


def steps(state: StepState = StepState.DONE, **changes: Any) -> list[Step]:
    """A snapshot and a backup of the volume; `state` is the backup's."""
    snapshot = Step(0, DATA.key, Hook.PREPARE_FINISH, "snapshot", state=StepState.DONE,
                    entered_at=1000.0, finished_at=1002.0)
    backup = Step(1, DATA.key, Hook.MAIN, "backup", (0,), state=state, entered_at=1002.0,
                  progress=Progress(40, 100, "%", "creating"))
    return [snapshot, replace(backup, **changes)]


def checkpoint(**changes: Any) -> Checkpoint:
    kept = {
        DATA.key: Kept(DATA.key, {"backup": {"id": "b1", "size": 2, "snapshot_size": 2}},
                       Evidence.OBJECTS, "the bytes were not read back"),
        DISK.key: Kept(DISK.key, {"bytes": {"size": 3 << 20, "stream": {}}}, Evidence.CHECKSUMS),
        WEB.key: Kept(WEB.key, {"server": {"object": {"size": 1500}}}, Evidence.CHECKSUMS,
                      not_kept=({"field": "user data", "why": "hidden by policy"},))}
    made = Checkpoint("01a2-checkpoint", "p1", "web-1", 1000.0, CheckpointState.AVAILABLE,
                      graph(), kept, operation_id=operation().id, finished_at=1060.0, skew=0.25)
    return replace(made, **changes)


@dataclass
class FakeLocal:
    """`wait` moves on to the next of `life`: (operation, steps) as they will be found."""

    life: list[tuple[Operation, list[Step]]] = field(default_factory=list)
    listing: Any = field(default_factory=CheckpointListing)
    raises: BaseException | None = None
    dead: bool = False
    queued: bool = False        # for workers, and none has begun it
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    stopped: bool = False
    driven_by: Driver | None = None
    beforehand: list[tuple[Resource, str]] = field(default_factory=list)

    def __enter__(self) -> FakeLocal:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def _hear(self, *what: Any) -> None:
        self.asked.append(what)
        if self.raises:
            raise self.raises

    def resources(self) -> ResourceGraph:
        self._hear("resources")
        return graph()

    def checkpoints(self, *, hidden: bool = False) -> Any:
        self._hear("checkpoints", hidden)
        return self.listing

    def checkpoint(self, name_or_id: str) -> Checkpoint:
        self._hear("checkpoint", name_or_id)
        for one in [*self.listing.found, checkpoint()]:
            if name_or_id in (one.id, one.name):
                return one
        raise NotFound(f"this project has no checkpoint {name_or_id}")

    def checkpoint_of(self, operation: Operation) -> Checkpoint:
        self._hear("checkpoint of", operation.id)
        return checkpoint()

    def operations(self, *, limit: int | None = None) -> list[Operation]:
        return [self.life[0][0]]

    def interrupted(self) -> list[Operation]:
        return [self.life[0][0]] if self.dead else []

    def waiting(self) -> list[Operation]:
        return [self.life[0][0]] if self.queued else []

    def driver(self, operation: Operation) -> Driver | None:
        return self.driven_by

    def is_interrupted(self, operation: Operation) -> bool:
        return not operation.state.over and (self.dead or self.stopped)

    def operation(self, which: Any) -> Operation:
        return self.life[0][0]

    def steps(self, which: Any) -> list[Step]:
        return self.life[0][1]

    def events(self, which: Any) -> list[tuple[float, str]]:
        return [(1000.0, "queued → planning")]

    def wait(self, which: Any, timeout: float | None = None) -> Operation:
        if len(self.life) > 1:
            self.life.pop(0)
        return self.life[0][0]

    def stop(self) -> None:
        self.stopped = True

    def _draft(self, *what: Any) -> Draft:
        self._hear(*what)
        lines = [(DATA, "create volume data (2 GiB)")] if what[0] == "restore" else self.beforehand
        return Draft(self.life[0][0] if self.life else operation(), graph(), lines)

    def draft_protect(self, words: Any, *, name: str = "", parameters: Any = None,
                      expected: float | None = None) -> Draft:
        return self._draft("protect", tuple(words), name, parameters)

    def draft_restore(self, checkpoint: str, options: Any = None, *,
                      expected: float | None = None) -> Draft:
        return self._draft("restore", checkpoint, options)

    def draft_verify(self, checkpoint: str, *, expected: float | None = None) -> Draft:
        return self._draft("verify", checkpoint)

    def draft_copy(self, checkpoint: str, to: str, *, expected: float | None = None) -> Draft:
        return self._draft("copy", checkpoint, to)

    def draft_delete(self, checkpoint: str) -> Draft:
        return self._draft("delete", checkpoint)

    def start(self, draft: Draft) -> Operation:
        self.asked.append(("start",))
        return draft.operation

    def resume(self, which: str) -> Operation:
        self._hear("resume", which)
        return self.life[0][0]

    def cancel(self, which: str) -> Operation:
        self._hear("cancel", which)
        return self.life[0][0]


def run(local: FakeLocal, *words: str, stdin: str | None = None) -> Result:
    """The command in this process; `result.stdout` and `result.stderr` apart."""
    opener: Callable[[Any], FakeLocal] = lambda invocation: local  # noqa: E731
    return CliRunner().invoke(karbor, list(words), obj=opener, input=stdin)


class Refused(KarborError):
    """An error of no particular family."""
