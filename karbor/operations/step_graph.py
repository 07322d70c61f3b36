"""ResourceGraph × stages → steps with their needs.

The order of Karbor 1.x (parents' prepare_begin before children's; children's prepare_finish and
complete before parents'; main in any order), and two rules more: every prepare_* is over before the
first main begins, so that all snapshots of an operation lie close together; and a resource is read
back after its own complete. Temporary things are released when their resource's main is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Hook, Step
from karbor.plugin.protection import Stage, Stages, Task

BARRIER = "all-prepared"
RELEASE = "release:"

Numbers = tuple[int, ...]


def build_steps(graph: ResourceGraph, stages_of: Callable[[Resource], Stages]) -> list[Step]:
    """All steps of an operation. `needs` always point to lower numbers."""
    return _Unfolding(graph, stages_of).steps


class _Unfolding:
    def __init__(self, graph: ResourceGraph, stages_of: Callable[[Resource], Stages]) -> None:
        self._graph = graph
        self._stages = {resource.key: stages_of(resource) for resource in graph}
        self._exits: dict[tuple[str, Hook], Numbers] = {}
        self.steps: list[Step] = []
        down = list(graph.parents_first())
        up = list(reversed(down))

        begun = self._pass(down, Hook.PREPARE_BEGIN, lambda resource: [
            self._exits[parent.key, Hook.PREPARE_BEGIN] for parent in graph.parents(resource.key)])
        finished = self._pass(up, Hook.PREPARE_FINISH, lambda resource: [
            begun[resource.key], *self._of_children(resource, Hook.PREPARE_FINISH)])
        barrier = self._barrier({number for exits in (*begun.values(), *finished.values())
                                 for number in exits})
        main = self._pass(down, Hook.MAIN, lambda _: [barrier])
        for resource in down:
            self._release(resource, main[resource.key])
        complete = self._pass(up, Hook.COMPLETE, lambda resource: [
            main[resource.key], *self._of_children(resource, Hook.COMPLETE)])
        self._pass(down, Hook.VERIFY, lambda resource: [complete[resource.key]])

    def _pass(self, order: Sequence[Resource], hook: Hook,
              needs: Callable[[Resource], Sequence[Numbers]]) -> dict[str, Numbers]:
        """The steps of one hook for all resources; returns on which steps the next must wait. A
        resource without stages hands on what it would have waited for."""
        for resource in order:
            exits = tuple(sorted({number for group in needs(resource) for number in group}))
            for stage in self._stages[resource.key].get(hook, ()):
                exits = (self._add(resource, hook, stage, exits),)
            self._exits[resource.key, hook] = exits
        return {resource.key: self._exits[resource.key, hook] for resource in order}

    def _of_children(self, resource: Resource, hook: Hook) -> list[Numbers]:
        return [self._exits[child.key, hook] for child in self._graph.children(resource.key)]

    def _add(self, resource: Resource, hook: Hook, stage: Stage | Task, needs: Numbers) -> int:
        number = len(self.steps)
        self.steps.append(Step(number, resource.key, hook, stage.name, needs, limit=stage.limit,
                               carries=isinstance(stage, Task) and stage.carries))
        return number

    def _barrier(self, prepared: set[int]) -> Numbers:
        """One step that waits for all prepare_*, so that mains need one number each, not all."""
        if not prepared:
            return ()
        number = len(self.steps)
        self.steps.append(Step(number, "", Hook.PREPARE_FINISH, BARRIER,
                               tuple(sorted(prepared))))
        return (number,)

    def _release(self, resource: Resource, after: Numbers) -> None:
        temporary = {
            stage.name
            for stages in self._stages[resource.key].values()
            for stage in stages
            if isinstance(stage, Stage) and stage.temporary
        }
        for made in [step for step in self.steps
                     if step.resource == resource.key and step.stage in temporary]:
            number = len(self.steps)
            self.steps.append(Step(number, resource.key, Hook.COMPLETE, RELEASE + made.stage,
                                   tuple(sorted({*after, made.number})), releases=made.number))
