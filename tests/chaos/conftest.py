"""Scenes for all chaos tests: everything is brought back between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

pytest.register_assert_rewrite("tests.chaos.verbs", "tests.chaos.scene", "tests.chaos.commands",
                               "tests.chaos.killing")

from karbor.testing.openstack import Double  # noqa: E402
from tests.chaos.commands import Commands  # noqa: E402
from tests.chaos.scene import Scene, build_scene  # noqa: E402

SCENES = 2      # at work side by side: most of a run is waiting


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Scene]]:
    with ExitStack() as stack:
        yield [build_scene(stack.enter_context(Commands()), stack.enter_context(Double()),
                           tmp_path_factory.mktemp("home")) for _ in range(SCENES)]


@pytest.fixture
def scene(scenes: list[Scene]) -> Scene:
    return scenes[0]
