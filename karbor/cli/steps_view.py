"""The steps of an operation as a person wants to see them: a row for each resource."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from karbor.cli.formatting import size, titles
from karbor.domain.operation import Operation
from karbor.domain.resource import PROJECT, Resource, ResourceGraph
from karbor.domain.step import Progress, Step, StepState

UNDER_WAY = {StepState.ENTERED, StepState.RUNNING}
FINISHED = {StepState.DONE, StepState.UNDONE}
RELEASE = "release:"


@dataclass(frozen=True)
class Row:
    """How one resource stands. `share` is the part of its steps that are over, 0 to 1."""

    key: str
    name: str
    depth: int
    stage: str
    state: str
    detail: str = ""
    share: float = 0.0


def graph_of(operation: Operation) -> ResourceGraph | None:
    """Return the graph of an operation; None as long as it is not planned."""
    return ResourceGraph.from_dict(operation.plan["graph"]) if operation.plan else None


def tree(graph: ResourceGraph) -> Iterator[tuple[Resource, int, bool]]:
    """Yield resource, depth and whether it is the first time, from the roots down; what several
    need comes once for each, its own children only the first time. A project shows only what
    belongs to nothing else."""
    seen: set[str] = set()

    def below(resource: Resource, depth: int) -> Iterator[tuple[Resource, int, bool]]:
        first = resource.key not in seen
        seen.add(resource.key)
        yield resource, depth, first
        if not first:
            return
        children = graph.children(resource.key)
        if resource.type == PROJECT:
            children.sort(key=lambda child: not graph.children(child.key))
        for child in children:
            if resource.type != PROJECT or child.key not in seen:
                yield from below(child, depth + 1)

    for key in graph.roots:
        yield from below(graph[key], 0)


def rows(graph: ResourceGraph, steps: Sequence[Step]) -> list[Row]:
    of: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        of[step.resource].append(step)
    names = titles(graph)
    return [_row(resource, names[resource.key], depth, of[resource.key])
            for resource, depth, first in tree(graph) if first]


def _row(resource: Resource, name: str, depth: int, steps: Sequence[Step]) -> Row:
    def row(stage: str, state: str, detail: str = "") -> Row:
        over = sum(step.state in FINISHED for step in steps)
        return Row(resource.key, name, depth, stage, state, detail,
                   over / len(steps) if steps else 1.0)

    for state in (StepState.LEFT, StepState.FAILED, StepState.UNDOING):
        for step in steps:
            if step.state is state:
                return row(stage_name(step), state, message(step))
    active = [step for step in steps if step.state in UNDER_WAY]
    if active:
        return row(", ".join(stage_name(step) for step in active), "running",
                   ", ".join(filter(None, (told(step.progress) for step in active))))
    if any(step.state is StepState.UNDONE for step in steps):
        return row("", "undone")
    if all(step.state is StepState.DONE for step in steps):
        return row("", "done")
    return row("", "waiting")


def stage_name(step: Step) -> str:
    """Return a stage in words: `read_back` → `read back`, `release:snapshot` → `remove
    snapshot`."""
    name = step.stage.replace("_", " ")
    return "remove " + name.removeprefix(RELEASE) if name.startswith(RELEASE) else name


def message(step: Step) -> str:
    return str((step.error or {}).get("message", ""))


def told(progress: Progress | None) -> str:
    """Return the progress of a step: `12.0 MiB of 1.0 GiB`, `40 %`, or the service's own word."""
    if progress is None:
        return ""
    if progress.unit in ("bytes", "B") and progress.done:
        of = f" of {size(progress.total)}" if progress.total else ""
        return f"{progress.text} {size(progress.done)}{of}".strip()
    if progress.total and progress.unit in ("%", "percent"):
        return f"{progress.text} {100 * progress.done // progress.total} %".strip()
    if progress.total:
        return f"{progress.text} {progress.done} of {progress.total} {progress.unit}".strip()
    return progress.text
