"""EmbeddedKarbor: Karbor in one process, without a service: everything wired together.

    with EmbeddedKarbor(config.load(), cloud="mine") as karbor:
        operation = karbor.wait(karbor.protect(["web-1"], name="before the upgrade"))

Everything is made at its first use: what only reads the database needs no cloud, what only reads
the bank needs no engine.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from karbor import config
from karbor.application.admission import Admission, Draft
from karbor.application.application_credentials import RegisteredCredentials
from karbor.application.checkpoint_listing import CheckpointListing, list_checkpoints
from karbor.application.clouds import Clouds
from karbor.application.disk_export import ExportedDisk, open_disk
from karbor.application.execution_context import execution_context
from karbor.application.login_project_cache import LoginProjectCache
from karbor.application.requests import (
    CopyRequest,
    DeleteRequest,
    ProtectRequest,
    RequestContext,
    RestoreOptions,
    RestoreRequest,
    VerifyRequest,
)
from karbor.application.service_processes import ServiceProcesses
from karbor.checkpoints.repository import CheckpointRepository
from karbor.cmd.database import open_database
from karbor.domain.checkpoint import Checkpoint
from karbor.domain.errors import Conflict
from karbor.domain.operation import Operation, OperationState, Verb, Wanted
from karbor.domain.resource import PROJECT, Resource, ResourceGraph
from karbor.domain.step import Step
from karbor.durable.engine import Engine
from karbor.durable.locks import operation_locks
from karbor.operations.discovery import discover
from karbor.operations.events import NOBODY
from karbor.operations.execution_context import ExecutionContext, Provider
from karbor.operations.parameters import Parameters
from karbor.operations.restore import RESTORES_LOOKED_AT, origins
from karbor.operations.selection import select
from karbor.plugin import registry
from karbor.plugin.protectable import DiscoveryLists, Protectable
from karbor.providers.catalog import ProviderCatalog
from karbor.store.operations import Operations
from karbor.telemetry.notifications import Bus, notifications
from karbor.worker.executor import OperationExecutor

if TYPE_CHECKING:
    from karbor.clients.cloud import OpenStackCloud
    from karbor.clients.data_protect import DataProtect

LOOK = 0.25     # seconds between looks at an operation that another process drives

Which = Operation | str


class Driver(NamedTuple):
    """The process that drives an operation. `silent_since`: a worker that has given no sign of
    life since then (seconds since the epoch)."""

    pid: int
    machine: str
    silent_since: float | None = None


class EmbeddedKarbor:
    """A context manager; one at a time in a process as soon as it drives something.

    `cloud` is an entry of clouds.yaml; None: as OS_CLOUD or the OS_* variables say. `provider` is
    the name or id of the one that is used; None: the default. Methods raise the errors of
    `domain.errors`.
    """

    def __init__(self, conf: config.ConfigOpts, cloud: str | None = None,
                 provider: str | None = None) -> None:
        self._conf = conf
        self._cloud_name = cloud
        self._provider_name = provider
        self._state = config.state_path(conf)
        self._locks = operation_locks(self._state, config.database_url(conf))
        self._engine: Engine | None = None
        self._ends: dict[str, Future[OperationState | None]] = {}
        self._cancelling: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()
        if bus := self.__dict__.get("_bus"):
            bus.close()
        if "providers" in self.__dict__:
            self.providers.close()
        if "_clouds" in self.__dict__:
            self._clouds.close()
        if "_database" in self.__dict__:
            self._database.dispose()
        self._locks.close()

    def stop(self) -> None:
        """Stop driving; what is not over can be resumed, here or in another process."""
        if self._engine is not None:
            self._engine.stop()

    # ------------------------------------------------------------------ what there is
    @property
    def project_id(self) -> str:
        """Of the login, without logging in where nothing has changed since the last time."""
        return self._clouds.project_id

    @property
    def cloud(self) -> OpenStackCloud:
        """The cloud as this person sees it; logged in at the first use."""
        return self._clouds.mine

    @cached_property
    def providers(self) -> ProviderCatalog:
        """All that there are."""
        return ProviderCatalog(self._conf, lambda: self._clouds.authority)

    @property
    def provider(self) -> Provider:
        """The one that was named, or the default, as its file says now. Raises BadInput,
        BankError."""
        return self.providers.choose(self._provider_name)

    def resources(self) -> ResourceGraph:
        """Everything of the project that can be protected."""
        protectables = self._protectables
        listings = DiscoveryLists(self.cloud)
        start = protectables[PROJECT].list(listings)
        return discover(self.cloud, protectables, start, listings)

    def checkpoints(self, *, hidden: bool = False) -> CheckpointListing:
        """The newest first."""
        return list_checkpoints(self._checkpoints, self.provider.id, hidden=hidden)

    def checkpoint(self, name_or_id: str) -> Checkpoint:
        return self._checkpoints.find(name_or_id)

    def disk(self, name_or_id: str, word: str, *, offset: int = 0, length: int | None = None
             ) -> ExportedDisk:
        """A disk, or a part of it, of a checkpoint. Raises as `open_disk`."""
        return open_disk(self.provider, self.checkpoint(name_or_id), word, offset=offset,
                         length=length)

    def checkpoint_of(self, operation: Operation) -> Checkpoint:
        """The one that an operation works on, whichever provider's it is."""
        bank = self.providers.of(operation).bank
        return CheckpointRepository(bank, operation.project_id).show(operation.checkpoint_id)

    @cached_property
    def data_protect(self) -> DataProtect:
        """Karbor as a service of this person's cloud, where it is one."""
        from karbor.clients.data_protect import DataProtect  # noqa: PLC0415

        login = self.cloud.login
        return DataProtect(login.session, login.credential.endpoint_settings)

    @property
    def application_credentials(self) -> RegisteredCredentials:
        """Those that users have registered with Karbor in this project."""
        return self._clouds.application_credentials

    def operations(self, *, limit: int | None = None) -> list[Operation]:
        """The newest first."""
        return self._records.list(self.project_id, limit=limit)

    def operation(self, which: Which) -> Operation:
        """As it stands now; by its id or the beginning of it."""
        return self._records.show(self.project_id, _id(which))

    def steps(self, which: Which) -> list[Step]:
        return self._records.steps(self.project_id, _id(which))

    def events(self, which: Which) -> list[tuple[float, str]]:
        """(when, what), oldest first."""
        return [
            (event.at, event.text) for event in self._records.events(self.project_id, _id(which))
        ]

    def interrupted(self) -> list[Operation]:
        """Those that are not over and that no process drives, without those that wait for a
        worker."""
        waiting = self._records.handed_over(self.project_id)
        return [operation for operation in self._undriven() if operation.id not in waiting]

    def waiting(self) -> list[Operation]:
        """Those that were handed over to the workers, and that none has begun yet."""
        waiting = self._records.handed_over(self.project_id)
        return [operation for operation in self._undriven() if operation.id in waiting]

    def _undriven(self) -> list[Operation]:
        live = self._records.live(self.project_id)
        driven = self._locks.holders([operation.id for operation in live])
        return [operation for operation in live if operation.id not in driven]

    def is_interrupted(self, operation: Operation) -> bool:
        return not operation.state.over and self._locks.holder(operation.id) is None

    def driver(self, operation: Operation) -> Driver | None:
        """Which process drives it right now; None: nobody does."""
        found = self._locks.processes([operation.id]).get(operation.id)
        if found is None:
            return None
        known = ServiceProcesses(self._conf, self._database).of(found)
        silent = known is not None and not known.up(time.time(), self._conf.service_down_time)
        return Driver(found.pid, found.machine,
                      known.updated_at if known is not None and silent else None)

    # ------------------------------------------------------------------ what would be done
    # `expected`: how many seconds somebody says that it will take; None: it is estimated.
    def draft_protect(self, words: Sequence[str], *, name: str = "",
                      parameters: Parameters | None = None, expected: float | None = None
                      ) -> Draft:
        return self._admission.protect(
            self._context(expected), ProtectRequest(words, name, parameters or {}))

    def draft_restore(self, checkpoint: str, options: RestoreOptions | None = None, *,
                      expected: float | None = None) -> Draft:
        return self._admission.restore(
            self._context(expected), RestoreRequest(checkpoint, options or RestoreOptions()))

    def draft_verify(self, checkpoint: str, *, expected: float | None = None) -> Draft:
        return self._admission.verify(self._context(expected), VerifyRequest(checkpoint))

    def draft_copy(self, checkpoint: str, to: str, *, expected: float | None = None) -> Draft:
        """`to` is the name or id of the provider that shall get the copy."""
        return self._admission.copy(
            self._context(expected), CopyRequest(checkpoint, self.providers.choose(to)))

    def draft_delete(self, checkpoint: str) -> Draft:
        return self._admission.delete(self._context(), DeleteRequest(checkpoint))

    # ------------------------------------------------------------------ what is done
    def start(self, draft: Draft) -> Operation:
        """Write it down and begin; `wait` for its end."""
        admission = self._admission_of(draft.operation)
        operation = admission.accept(draft, self._clouds.delegation)
        self._clouds.trusts.sweep(operation.project_id)
        self._executor.hand_on(operation, draft.lookup)
        self._begin(operation)
        return operation

    def offer(self, draft: Draft) -> Operation:
        """Write it down for the workers that share this database; one of them drives it soon."""
        admission = self._admission_of(draft.operation)
        return admission.enter(draft.operation, self._clouds.delegation, offered=True)

    def select(self, words: Sequence[str]) -> list[Resource]:
        """What is meant by words that people type. Raises UnknownName, AmbiguousName, and what the
        cloud answers."""
        return select(words, self._protectables, DiscoveryLists(self.cloud), lambda: origins(
            self._records.list(self.project_id, limit=RESTORES_LOOKED_AT)))

    def protect(self, words: Sequence[str], *, name: str = "",
                parameters: Parameters | None = None) -> Operation:
        return self.start(self.draft_protect(words, name=name, parameters=parameters))

    def restore(self, checkpoint: str, options: RestoreOptions | None = None) -> Operation:
        return self.start(self.draft_restore(checkpoint, options))

    def verify(self, checkpoint: str) -> Operation:
        return self.start(self.draft_verify(checkpoint))

    def copy(self, checkpoint: str, to: str) -> Operation:
        return self.start(self.draft_copy(checkpoint, to))

    def delete(self, checkpoint: str) -> Operation:
        return self.start(self.draft_delete(checkpoint))

    def resume(self, which: Which) -> Operation:
        """Go on with one that nobody drives; where it is over, with removing what it had to leave.
        Raises Conflict where there is nothing to resume."""
        operation = self.operation(which)
        if operation.state.over:
            return self._take_up_left(operation)
        self._take_up(operation)
        return operation

    def _take_up_left(self, operation: Operation) -> Operation:
        """With the login at hand, whatever has become of the one that the operation had."""
        if not operation.result.get("left"):
            raise Conflict(f"operation {operation.id} is over: {operation.state}",
                           remedy="there is nothing to resume or to remove; begin anew")
        taken = self._clouds.take_up_left(operation)
        with suppress(Conflict):        # a worker of a service was quicker
            self._begin(taken)
        return taken

    def _take_up(self, operation: Operation) -> None:
        """Log in first: when that fails for now, the operation stays as it is, to be resumed. A
        credential that is over for good lets it end, with a list of what could not be removed."""
        def logged_in() -> bool:
            self._executor.take_up(operation)
            return True

        self.providers.of(operation)    # raises before the lock is taken
        # Not before we have its lock: whoever drives it would be left without its credential.
        self._begin(operation, logged_in)

    def _begin(self, operation: Operation, prepared: Callable[[], bool] = lambda: True) -> None:
        """Drive it, or go on with it. `prepared` is called when nobody else can drive it any more,
        and before anything is done. Raises Conflict when another process drives it, or it is
        over."""
        if self._engine is None:
            self._engine = Engine(self._locks, self._state_of, self._executor.drive)
        self._ends[operation.id] = self._engine.begin(operation.id, prepared)

    def _state_of(self, operation_id: str) -> OperationState:
        return self.operation(operation_id).state

    def cancel(self, which: Which) -> Operation:
        """Ask for its end; whoever drives it undoes what it began, this process if nobody does. Of
        one that is over, what it had to leave is removed. `wait` for it."""
        operation = self.operation(which)
        if operation.state.over:
            return self._take_up_left(operation)
        if operation.verb is Verb.DELETE and operation.state is not OperationState.QUEUED:
            raise Conflict(f"operation {operation.id} deletes: that cannot be undone",
                           remedy=f"finish it with: karbor operation resume {operation.id}")
        self._records.want(self.project_id, operation.id, Wanted.CANCEL)
        self._cancelling.add(operation.id)
        return self.operation(operation.id)

    def wait(self, which: Which, timeout: float | None = None) -> Operation:
        """Until it is over, no longer driven by this process, or `timeout` seconds have passed; as
        it stands then. Raises what kept the driver from going on."""
        identity = _id(which)
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            if identity in self._ends:
                with suppress(TimeoutError):
                    self._ends[identity].result(left)
                return self.operation(identity)
            operation = self.operation(identity)
            if operation.state.over or left == 0.0:
                return operation
            if identity in self._cancelling and self.is_interrupted(operation):
                with suppress(Conflict):        # another process was quicker, or it is over now
                    self._take_up(operation)
                continue
            time.sleep(LOOK if left is None else min(LOOK, left))

    # ------------------------------------------------------------------ the wiring
    @cached_property
    def _database(self) -> Any:
        return open_database(self._conf)

    @cached_property
    def _records(self) -> Operations:
        return Operations(self._database)

    @property
    def _checkpoints(self) -> CheckpointRepository:
        return CheckpointRepository(self.provider.bank, self.project_id)

    @cached_property
    def _clouds(self) -> Clouds:
        return Clouds(self._conf, self._cloud_name, LoginProjectCache(self._state / "logins.json"),
                      self._database)

    @cached_property
    def _protectables(self) -> Mapping[str, Protectable]:
        return registry.protectables()

    def _setting(self, provider: Provider) -> ExecutionContext:
        return execution_context(self._conf, provider, self._protectables, self._clouds,
                                 self.providers.of_id)

    @property
    def _admission(self) -> Admission:
        return Admission(self._setting(self.provider), self._records)

    def _admission_of(self, operation: Operation) -> Admission:
        """Raises NotFound when its provider is not there any more; see ProviderCatalog."""
        return Admission(self._setting(self.providers.of(operation)), self._records)

    def _context(self, expected: float | None = None) -> RequestContext:
        return RequestContext(self.cloud.caller, self._clouds.delegation, self.cloud, expected)

    @cached_property
    def _executor(self) -> OperationExecutor:
        return OperationExecutor(self._conf, self.providers, self._clouds, self._database,
                                 self._protectables, living=self._locks.holders,
                                 notifier=self._bus or NOBODY)

    @cached_property
    def _bus(self) -> Bus | None:
        return notifications(self._conf, f"karbor.command.{socket.gethostname()}")


def _id(which: Which) -> str:
    return which.id if isinstance(which, Operation) else which
