"""What all tests have in common: which of them may run side by side, and who yields to whom."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.postgresql import Server

HERE = pathlib.Path(__file__).parent
ON_THE_CLOUD = (HERE / "cloud", HERE / "compat")


def on_the_cloud(item: pytest.Item) -> bool:
    return any(item.path.is_relative_to(one) for one in ON_THE_CLOUD)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """There is one cloud, so its tests follow each other in one process. They wait more than they
    work; another process does the rest meanwhile, file by file."""
    from xdist.scheduler import LoadScopeScheduling

    class OneCloud(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(("tests/cloud/", "tests/compat/")):
                return "cloud"
            return nodeid.split("::", 1)[0]

    return OneCloud(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of the cloud come first: they take the longest."""
    items.sort(key=lambda item: not on_the_cloud(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Where two processes share the tests, those that need no cloud yield to the cloud and its
    tests, which are about tokens of seconds. (Only root may take a priority back.)"""
    if "PYTEST_XDIST_WORKER" in os.environ and os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0 if on_the_cloud(item) else 15)
    return (yield)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """One server a session; ask it for a database."""
    from tests.postgresql import Server

    with Server() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: Server) -> Iterator[str]:
    """A database of the test's own, with Karbor's tables."""
    url = postgresql.database()
    yield url
    postgresql.drop(url)


@pytest.fixture
def engine_url(postgresql: Server) -> Iterator[str]:
    """The same, with the engine's tables as well."""
    from tests.postgresql import ENGINE

    url = postgresql.database(ENGINE)
    yield url
    postgresql.drop(url)


@pytest.fixture
def empty_url(postgresql: Server) -> Iterator[str]:
    """One without any tables."""
    from tests.postgresql import EMPTY

    url = postgresql.database(EMPTY)
    yield url
    postgresql.drop(url)
