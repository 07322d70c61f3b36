from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.domain.errors import CloudUnavailable
from karbor.domain.resource import IMAGE, SERVER, VOLUME, CycleFound, Resource, ResourceGraph


def resource(name: str, type: str = "T") -> Resource:
    return Resource(type, name, name)


def graph_of(edges: dict[str, list[str]], start: list[str]) -> ResourceGraph:
    return ResourceGraph.build(
        [resource(one) for one in start],
        lambda level: {one.key: [resource(c) for c in edges.get(one.id, ())] for one in level})


def test_two_disks_of_one_image_are_two_resources() -> None:
    first, second = Resource(IMAGE, "i", within="s1"), Resource(IMAGE, "i", within="s2")
    assert first != second
    assert len({first.key, second.key, Resource(IMAGE, "i").key}) == 3


def test_names_and_facts_do_not_make_another_resource() -> None:
    assert Resource(VOLUME, "v", "old", facts={"a": 1}) == Resource(VOLUME, "v", "new")


def test_a_resource_below_two_parents_stands_in_the_graph_once() -> None:
    graph = graph_of({"a": ["x"], "b": ["x"]}, ["a", "b"])
    assert len(graph) == 3
    assert [one.id for one in graph.parents("T#x")] == ["a", "b"]


def test_a_start_resource_that_is_a_child_is_no_root() -> None:
    graph = graph_of({"server": ["volume"]}, ["volume", "server"])
    assert graph.roots == ["T#server"]


def test_a_level_is_discovered_in_one_call() -> None:
    calls: list[int] = []

    def discover(level: list[Resource]) -> dict[str, list[Resource]]:
        calls.append(len(level))
        return {one.key: [resource(f"{one.id}-v", VOLUME)] for one in level if one.type == SERVER}

    ResourceGraph.build([resource(str(i), SERVER) for i in range(50)], discover)
    assert calls == [50, 50]


@pytest.mark.parametrize("edges", [{"a": ["b"], "b": ["a"]}, {"a": ["b"], "b": ["c"], "c": ["b"]}])
def test_a_circle_is_an_error(edges: dict[str, list[str]]) -> None:
    with pytest.raises(CycleFound):
        graph_of(edges, ["a"])


def test_a_failing_discovery_is_not_a_smaller_graph() -> None:
    def discover(level: object) -> dict[str, list[Resource]]:
        raise CloudUnavailable("cinder is away")

    with pytest.raises(CloudUnavailable):
        ResourceGraph.build([resource("a")], discover)


EDGES = st.dictionaries(st.integers(0, 11), st.lists(st.integers(0, 11), max_size=4), max_size=12)


@given(EDGES)
def test_parents_come_first_and_nothing_is_lost_on_the_way_to_json(
        raw: dict[int, list[int]]) -> None:
    edges = {str(a): [str(b) for b in bs if b > a] for a, bs in raw.items()}    # no circles
    graph = graph_of(edges, [str(i) for i in range(12)])
    order = [one.id for one in graph.parents_first()]
    assert sorted(order) == sorted(str(i) for i in range(12))
    for parent, children in edges.items():
        assert all(order.index(parent) < order.index(child) for child in children)
    again = ResourceGraph.from_dict(graph.to_dict())
    assert again.to_dict() == graph.to_dict()
