"""The order of hooks over the graph, as properties of the steps' needs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Done, Hook, Step
from karbor.operations.step_graph import BARRIER, RELEASE, build_steps
from karbor.plugin.protection import Stage, Task


def task(name: str) -> Task:
    return type("T", (Task,), {"name": name, "run": lambda self, work: Done()})()


class Snapshot(Stage):
    name, kind, ready, temporary = "snapshot", "x.y", frozenset({"ok"}), True

    def create(self, work: Any) -> str:
        return "1"

    def find(self, work: Any) -> list[str]:
        return []

    def delete(self, work: Any, id: str) -> None: ...


HOOKS = [Hook.PREPARE_BEGIN, Hook.PREPARE_FINISH, Hook.MAIN, Hook.COMPLETE, Hook.VERIFY]


@st.composite
def cases(draw: st.DrawFn) -> tuple[ResourceGraph, dict[str, list[Hook]]]:
    size = draw(st.integers(1, 8))
    edges = {i: draw(st.lists(st.integers(i + 1, size), max_size=3)) for i in range(size)}
    graph = ResourceGraph.build(
        [Resource("T", str(i)) for i in range(size + 1)],
        lambda level: {one.key: [Resource("T", str(c)) for c in edges.get(int(one.id), ())]
                       for one in level})
    hooks = {one.key: draw(st.lists(st.sampled_from(HOOKS), unique=True)) for one in graph}
    return graph, hooks


def waits_for(steps: list[Step]) -> dict[int, set[int]]:
    """All steps that must be over before a step, directly or not."""
    out: dict[int, set[int]] = {}
    for step in steps:
        assert all(need < step.number for need in step.needs)
        out[step.number] = set(step.needs).union(*(out[need] for need in step.needs))
    return out


@given(cases())
def test_the_order_over_the_graph(case: tuple[ResourceGraph, dict[str, list[Hook]]]) -> None:
    graph, hooks = case
    steps = build_steps(graph, lambda one: {hook: [task(f"{hook}-1"), task(f"{hook}-2")]
                                            for hook in hooks[one.key]})
    before = waits_for(steps)
    at: dict[tuple[str, Hook], list[int]] = {}
    for step in steps:
        at.setdefault((step.resource, step.hook), []).append(step.number)

    def after(later: tuple[str, Hook], earlier: tuple[str, Hook]) -> None:
        for number in at.get(later, ()):
            assert set(at.get(earlier, ())) <= before[number]

    for one in graph:
        for first, second in itertools.pairwise(HOOKS):
            after((one.key, second), (one.key, first))
        for child in descendants(graph, one.key):
            after((child, Hook.PREPARE_BEGIN), (one.key, Hook.PREPARE_BEGIN))
            after((one.key, Hook.PREPARE_FINISH), (child, Hook.PREPARE_FINISH))
            after((one.key, Hook.COMPLETE), (child, Hook.MAIN))
            after((one.key, Hook.COMPLETE), (child, Hook.COMPLETE))
        for other in graph:
            after((one.key, Hook.MAIN), (other.key, Hook.PREPARE_FINISH))
            after((one.key, Hook.MAIN), (other.key, Hook.PREPARE_BEGIN))


def descendants(graph: ResourceGraph, key: str) -> set[str]:
    found: set[str] = set()
    todo = [key]
    while todo:
        for child in graph.children(todo.pop()):
            if child.key not in found:
                found.add(child.key)
                todo.append(child.key)
    return found


@pytest.mark.parametrize("mains", [0, 1, 2])
def test_a_temporary_thing_is_released_once_its_resource_is_through_main(mains: int) -> None:
    graph = ResourceGraph.build([Resource("T", "a")], lambda level: {})
    steps = build_steps(graph, lambda one: {
        Hook.PREPARE_FINISH: [Snapshot()], Hook.MAIN: [task(f"m{i}") for i in range(mains)]})
    release = [step for step in steps if step.releases is not None]
    assert [step.stage for step in release] == [RELEASE + "snapshot"]
    assert steps[release[0].releases or 0].stage == "snapshot"
    expected = {step.number for step in steps if step.hook is Hook.MAIN}
    assert expected <= waits_for(steps)[release[0].number]


def test_one_barrier_not_a_web_of_needs() -> None:
    graph = ResourceGraph.build([Resource("T", str(i)) for i in range(200)], lambda level: {})
    steps = build_steps(
        graph, lambda one: {Hook.PREPARE_FINISH: [task("p")], Hook.MAIN: [task("m")]}
    )
    assert sum(step.stage == BARRIER for step in steps) == 1
    assert sum(len(step.needs) for step in steps) == 200 + 200
