"""Operation shelf: where restores, verifications and operation logs are read from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from karbor.api.call import Call
from karbor.domain.errors import NotFound
from karbor.domain.listing import Listing, Page, Sort
from karbor.domain.operation import Operation, Verb
from karbor.domain.step import Step
from karbor.store.operation_pages import Which
from karbor.store.operations import Event


class OperationReader(Protocol):
    def list(self, listing: Listing, which: Which) -> Page[Operation]: ...
    def show(self, project_id: str | None, operation_id: str, verbs: Collection[Verb] = ()
             ) -> Operation: ...
    def steps(self, operation: Operation) -> Sequence[Step]: ...
    def steps_of(self, operations: Sequence[Operation]) -> Mapping[str, Sequence[Step]]: ...
    def events(self, operation: Operation) -> Sequence[Event]: ...


def by_state(asked: Listing) -> Listing:
    """What the API calls the status of an operation is its state in the records."""
    return replace(asked, sort=tuple(
        Sort("state", sort.descending) if sort.key == "status" else sort for sort in asked.sort))


def admitted(call: Call[Any], shelf: OperationReader, noun: str, id: str,
             verbs: Collection[Verb] = ()) -> Operation:
    """The operation, where the caller may see it. Raises NotFound."""
    try:
        operation = shelf.show(call.reach, id, verbs)
    except NotFound as error:
        raise NotFound(f"{noun} {id} could not be found.") from error
    call.admit(operation.project_id, noun, id)
    return operation
