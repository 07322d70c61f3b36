"""Scenes for all chaos tests: everything is brought back between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.chaos.verbs", "tests.chaos.scene", "tests.chaos.commands",
                               "tests.chaos.killing", "tests.chaos.service_site")

from karbor_testing.openstack import Double  # noqa: E402

from tests.chaos.commands import Commands  # noqa: E402
from tests.chaos.scene import Scene, build_scene  # noqa: E402
from tests.chaos.service_site import Processes, Site  # noqa: E402

SCENES = 2      # at work side by side: most of a run is waiting


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Scene]]:
    with ExitStack() as stack:
        yield [build_scene(stack.enter_context(Commands()), stack.enter_context(Double()),
                           tmp_path_factory.mktemp("home")) for _ in range(SCENES)]


@pytest.fixture
def scene(scenes: list[Scene]) -> Scene:
    return scenes[0]


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Those of a service."""
    with Processes() as processes:
        yield processes


@pytest.fixture(scope="module")
def empty_double() -> Iterator[Double]:
    """Brought back, as `empty`, by each `site`."""
    with Double() as double:
        double.set(looks={"*": 0})
        double.keep("empty")
        yield double


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path, processes: Processes,
         empty_double: Double) -> Iterator[Site]:
    """A service on SQLite (`karbor serve`), and one on PostgreSQL (an API and two workers)."""
    empty_double.bring_back("empty")
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    site = Site(tmp_path, processes, empty_double, url)
    site.configure()
    yield site
    site.leave()
