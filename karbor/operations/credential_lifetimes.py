"""Lengths: which single piece of a service's work is expected to outlast every token."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from karbor.domain.operation import Operation
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.times import span_text
from karbor.operations import estimate
from karbor.operations.execution_context import ExecutionContext
from karbor.plugin.protection import Stages


def outlasting(operation: Operation, graph: ResourceGraph, setting: ExecutionContext,
               stages_of: Callable[[Resource], Stages]) -> Iterator[tuple[Resource, str]]:
    """Each resource of which that is so, with a line for people. Such work begins all the same: the
    estimate errs on the long side."""
    most = operation.credential.get("work_seconds")
    for resource in graph.parents_first():
        lent = [stage for stages in stages_of(resource).values() for stage in stages
                if stage.lends_token]
        size = estimate.size_of([resource])
        if most is None or not lent or not size:
            continue
        limit = setting.limits.get(lent[0].limit)
        seconds = estimate.part(operation, size, setting.slowest_rate,
                                side_by_side=limit.project if limit else 1)
        if seconds > most:
            yield (
                resource,
                (
                    f"{lent[0].name} may take {span_text(seconds)}, but a service can work "
                    f"with one token for {span_text(most)} at most: if it takes longer, it "
                    "fails"
                ),
            )
