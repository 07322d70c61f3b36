"""Engine: one durable workflow of DBOS per operation, which calls the driver.

The workflow is over only when the operation is. A driver that stops before that, for whatever
reason, leaves it as a killed process would, so there is one way to go on and not three: `resume`.

A process drives an operation only while it has the operation's lock. So work nobody drives is
work whose lock is free; no clock and no heartbeat is asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID
from dbos import error as dbos_error

from karbor.domain.errors import Conflict, NotFound, StoreUnavailable
from karbor.domain.operation import OperationState
from karbor.durable import library
from karbor.durable.locks import Held, operation_locks, released_on_error
from karbor.durable.queues import Queues

LOG = logging.getLogger(__name__)
LOOK = 0.25     # seconds between looks into the own queue, and at an operation driven elsewhere
SERVED_EVERY = 1.0      # between a server's looks into a queue: each costs about six transactions
_CHUNK = 500    # ids in one question
CONFIRMATIONS = 120     # looks for the library's note that a workflow is over: half a minute

Drive = Callable[[str, threading.Event], OperationState | None]
"""Drive the operation to its end and return how it ended; or, when the event has been set, return
None as soon as what is under way is written down. Called from several threads."""


@dataclass(frozen=True)
class Limits:
    """How many operations of a provider may be driven at once, by all processes together."""

    provider: int = 10
    project: int = 2


class Engine:
    """A context manager; one at a time in a process.

    `serves` names the providers whose queues this process works off, each partitioned by project
    so that no project waits behind another one's work. Without it (a command that a person has
    typed) the process drives what it was told to drive, at once, and nothing else: another
    command's operation would end with this one's terminal.

    `database` is the URL of the database of operations. On PostgreSQL the engine's tables and locks
    are there as well; else they are in `state_dir`.
    """

    _current: ClassVar[Engine | None] = None

    def __init__(self, state_dir: Path, drive: Drive, *,
                 serves: Mapping[str, Limits] | None = None, database: str | None = None) -> None:
        self._state_dir = state_dir
        self._database = database
        self._drive = drive
        self._server = serves is not None
        self._serves = dict(serves or {})
        self._queues = Queues()
        self._paused = False
        self._locks = operation_locks(state_dir, database)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._held: dict[str, Held] = {}            # locks taken for workflows about to begin
        self._driving: dict[str, Future[bool]] = {}     # whether it is over
        self._stops: dict[str, threading.Event] = {}    # of those being driven right now
        self._executor = ""
        self._life: Held | None = None

    def __enter__(self) -> Self:
        if Engine._current is not None:
            raise RuntimeError("one Engine at a time in a process")
        self._executor = library.launch(self._state_dir, self._database)
        Engine._current = self
        try:
            for provider, limits in self._serves.items():
                self.serve(provider, limits)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    # ------------------------------------------------------------------ as a server
    def serve(self, provider: str, limits: Limits) -> None:
        """Work off this provider's queue too, or under other limits from now on (which hold for
        all processes)."""
        with library.translated():
            DBOS.register_queue(provider, global_concurrency=limits.provider,
                                partition_concurrency=limits.project,
                                polling_interval_sec=SERVED_EVERY, on_conflict="always_update")
        self._serves[provider] = limits
        if not self._paused:
            self._queues.listen(provider)

    def pause(self) -> None:
        """Take nothing more from providers' queues; what is being driven goes on."""
        self._paused = True
        self._queues.leave()

    def go_on(self) -> None:
        """Take work again."""
        self._paused = False
        for provider in self._serves:
            self._queues.listen(provider)

    def enqueue(self, operation_id: str, provider: str, project: str) -> None:
        """Put it into its provider's queue, for any process that serves it. One that was begun
        before is left as it is; so of several that do this at once one does it."""
        if self._workflow(operation_id) is None:
            with library.translated(), suppress(dbos_error.DBOSWorkflowIDInUseError):
                self._put(operation_id, provider, project)

    # ------------------------------------------------------------------ one operation
    def submit(self, operation_id: str, provider: str, project: str) -> None:
        """Begin the operation, which the journal must have. Raises Conflict when it was submitted
        before."""
        held = self._take(operation_id)
        with released_on_error(held):
            if self._workflow(operation_id) is not None:
                raise Conflict(f"operation {operation_id} was submitted before",
                               remedy="resume it")
        self._begin(operation_id, provider, project, held)

    def resume(self, operation_id: str, provider: str, project: str) -> None:
        """Go on with an operation that nobody drives, even one that was never submitted.

        Raises Conflict, which names the process, when another one drives it; and when it is over.
        """
        held = self._take(operation_id)
        with released_on_error(held):
            workflow = self._workflow(operation_id)
            if workflow is not None and workflow.status == "SUCCESS":
                raise Conflict(f"operation {operation_id} is over")
        if workflow is None:
            self._begin(operation_id, provider, project, held)
        elif provider in self._serves and workflow.queue_partition_key is not None:
            # Back into its provider's queue, for any process: limits and fairness hold.
            with released_on_error(held), library.translated():
                DBOS.resume_workflow(operation_id, queue_name=provider)
            held.release()
        else:
            with released_on_error(held):
                queue = self._own_queue()
            self._hand_over(operation_id, held,
                            lambda: DBOS.resume_workflow(operation_id, queue_name=queue))

    def wait(self, operation_id: str) -> bool:
        """Until it is over (True; the journal says how) or nobody drives it any more (False).

        Raises what its driver raised here, and NotFound when it was never submitted. An operation
        that another process drives is looked at every quarter of a second.
        """
        looks_free = 0
        while True:
            with self._changed:
                driving = self._driving.get(operation_id)
            if driving is not None:
                try:
                    return driving.result()
                except CancelledError:      # stopped before it began
                    return False
            workflow = self._workflow(operation_id)
            if workflow is None:
                raise NotFound(f"operation {operation_id} was not submitted")
            if workflow.status == "SUCCESS":
                return True
            # Between taking work from a queue and taking its lock there is a moment: look twice.
            free = workflow.status == "PENDING" and self._locks.holder(operation_id) is None
            looks_free = looks_free + 1 if free else 0
            if looks_free > 1 or self._stopping.is_set():
                return False
            with self._changed:
                self._changed.wait_for(lambda: operation_id in self._driving, timeout=LOOK)

    def orphans(self, among: Collection[str] | None = None) -> list[str]:
        """Operations that were begun, are not over, and that no process drives; of `among` also
        those that were never begun. (Between taking work from a queue and taking its lock there is
        a moment: only what is found twice is one.)"""
        found: list[Any] = []
        for some in [None] if among is None else _chunks(list(among)):
            with library.translated():
                found += DBOS.list_workflows(
                    workflow_ids=some, load_input=False, load_output=False,
                    status=["PENDING", "ENQUEUED"] if some is None else None)
        begun = {one.workflow_id for one in found}
        free = [one.workflow_id for one in found if one.status == "PENDING"
                or (one.status == "ENQUEUED" and library.owner(one.queue_name))]
        free += [one for one in among or () if one not in begun]
        held = self._locks.holders(free)
        return [one for one in free if one not in held]

    def stop(self) -> None:
        """Tell the drivers to stop, wait until they have, and leave. Nothing is undone: what is
        not over can be resumed. May be called again, also when waiting was interrupted."""
        self._stopping.set()
        with self._changed:
            for one in self._stops.values():
                one.set()
        if Engine._current is self:
            self._queues.leave()
        for operation_id in list(self._held):       # begun, but not yet taken from the own queue
            self._withdraw(operation_id)
        with self._changed:
            driving = [one for one in self._driving.values() if not one.cancelled()]
            self._changed.notify_all()
        for driven in driving:
            driven.exception()      # waits; what it raised is for whoever calls `wait`
        if Engine._current is self:
            if self._life is not None:
                with library.translated():
                    DBOS.delete_queue(library.own_queue(self._executor))
                self._life.release()
            library.leave()
            Engine._current = None
        self._locks.close()

    def driven(self, operation_ids: Collection[str]) -> Collection[str]:
        """Those of them that some process drives, this one or another."""
        return self._locks.holders(operation_ids)

    # ------------------------------------------------------------------ beginning
    def _take(self, operation_id: str) -> Held:
        if self._stopping.is_set():
            raise Conflict("the engine is stopping")
        return self._locks.take(operation_id)

    def _begin(self, operation_id: str, provider: str, project: str, held: Held) -> None:
        def begin() -> None:
            with SetWorkflowID(operation_id, workflow_id_reuse_policy="reject"):
                DBOS.start_workflow(_WORKFLOW, operation_id)

        if not self._server:
            self._hand_over(operation_id, held, begin)
            return
        with released_on_error(held), library.translated():
            self._put(operation_id, provider, project)
        held.release()      # it is for whoever takes the operation from the queue

    @staticmethod
    def _put(operation_id: str, provider: str, project: str) -> None:
        with (SetWorkflowID(operation_id, workflow_id_reuse_policy="reject"),
              SetEnqueueOptions(queue_partition_key=project)):
            DBOS.enqueue_workflow(provider, _WORKFLOW, operation_id)

    def _hand_over(self, operation_id: str, held: Held, begin: Callable[[], object]) -> None:
        """Begin a workflow in this process; from here on its thread has the lock."""
        with self._changed:
            self._held[operation_id] = held
            self._driving[operation_id] = Future()
            self._changed.notify_all()
        try:
            with library.translated():
                begin()
        except BaseException:
            self._withdraw(operation_id)
            raise

    def _withdraw(self, operation_id: str) -> None:
        with self._changed:
            held = self._held.pop(operation_id, None)
            if held is not None:
                self._driving.pop(operation_id).cancel()
                held.release()

    def _own_queue(self) -> str:
        """The queue from which only this process takes work; there is none until something is
        resumed."""
        name = library.own_queue(self._executor)
        if self._life is None:
            self._life = self._locks.take(f"process-{self._executor}")
            with library.translated():
                for one in DBOS.list_queues():
                    executor = library.owner(one.name)
                    if executor and self._locks.holder(f"process-{executor}") is None:
                        DBOS.delete_queue(one.name)     # of a process that was killed
                DBOS.register_queue(name, polling_interval_sec=LOOK)
        self._queues.listen(name)
        return name

    @staticmethod
    def _workflow(operation_id: str) -> Any:
        with library.translated():
            found = DBOS.list_workflows(workflow_ids=[operation_id], load_input=False,
                                        load_output=False)
        return found[0] if found else None

    # ------------------------------------------------------------------ driving
    def run(self, operation_id: str) -> str:
        """The workflow, in a thread of the library. Returns only when the operation is over."""
        with self._changed:
            held = self._held.pop(operation_id, None)
        if held is None:        # from a queue
            try:
                held = self._take(operation_id)
            except Conflict as conflict:
                LOG.info("%s", conflict)
                raise LeftToBeResumed from conflict
            with self._changed:
                self._driving[operation_id] = Future()
                self._changed.notify_all()
        stop = threading.Event()
        held.tell(stop)     # without its lock another process may be driving it
        with self._changed:
            outcome = self._driving[operation_id]
            self._stops[operation_id] = stop
        try:
            state = None if self._stopping.is_set() else self._drive(operation_id, stop)
        except BaseException as error:
            LOG.info("operation %s is left to be resumed: %r", operation_id, error)
            held.release()
            outcome.set_exception(error)
            raise LeftToBeResumed from error
        finally:
            with self._changed:
                self._stops.pop(operation_id, None)
        if state is None:
            held.release()
            outcome.set_result(False)
            raise LeftToBeResumed
        threading.Thread(target=self._confirm, args=(operation_id, held, outcome),
                         name=f"confirm-{operation_id}", daemon=True).start()
        return state.value

    def _confirm(self, operation_id: str, held: Held, outcome: Future[bool]) -> None:
        """Let go only when the library has written down that the workflow is over, which it does
        after `run` has returned: else this process could end before, or another resume it."""
        try:
            for attempt in range(CONFIRMATIONS):
                if self._workflow(operation_id).status == "SUCCESS":
                    return
                time.sleep(min(LOOK, 0.005 * 2 ** attempt))
            LOG.warning("the engine did not note that operation %s is over", operation_id)
        except StoreUnavailable as error:       # the journal knows the end all the same
            LOG.warning("operation %s is over, but: %s", operation_id, error)
        finally:
            held.release()
            outcome.set_result(True)
            if self._server:        # a server does not collect what nobody may ever ask for
                with self._changed:
                    self._driving.pop(operation_id, None)


def _chunks(ids: list[str]) -> list[list[str]]:
    return [ids[start:start + _CHUNK] for start in range(0, len(ids), _CHUNK)]


class LeftToBeResumed(BaseException):
    """Ends a workflow's thread without an outcome, as if the process had been killed.

    Not an Exception: DBOS would write that down as the end of the workflow.
    """


def _operation(operation_id: str) -> str:
    engine = Engine._current
    if engine is None:
        raise LeftToBeResumed
    return engine.run(operation_id)


# How often it was begun says nothing: a long operation may outlive many processes.
_WORKFLOW: Callable[[str], str] = DBOS.workflow(
    name="operation", max_recovery_attempts=None)(_operation)
