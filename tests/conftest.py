"""What all tests have in common: which of them may run side by side, and who yields to whom."""

from __future__ import annotations

import logging
import os
import pathlib
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cloud.conftest import Cloud
    from tests.postgresql import Server

TESTS = pathlib.Path(__file__).parent
CLOUDS = ("cloud", "compat")
"""Directories of tests that need a cloud."""

OF_SECONDS = {"test_credentials", "test_doctor", "test_endurance", "test_ladder",
              "test_revocation", "test_taken_back", "test_token_matrix"}
"""Files of tests/cloud about tokens of seconds. They wait most of their time, and must not wait for
a processor: they have a cloud to themselves, and whatever runs beside them yields."""

BESIDE_THEM = {"test_killed", "test_refused_input"}
"""Files on the same cloud, so that neither cloud is in use for much longer than the other."""


def scope(path: str) -> str:
    """Tests of one scope follow each other in one process. `path` is below tests/."""
    directory, _, rest = path.partition("/")
    if directory not in CLOUDS:
        return path
    seconds = directory == "cloud" and rest.removesuffix(".py") in OF_SECONDS | BESIDE_THEM
    return "cloud of seconds" if seconds else "cloud"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All tests of a cloud are in one process; another does the rest meanwhile, file by file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByCloud(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid.split("::", 1)[0].removeprefix("tests/"))

    return ByCloud(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of the clouds come first: they take the longest."""
    items.sort(key=lambda item: ORDER.get(_scope(item), len(ORDER)))


ORDER = {"cloud of seconds": 0, "cloud": 1}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Where several processes share the tests, they yield to the one whose tests are about seconds;
    so does what they start. (Only root may take a priority back.)"""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["KARBOR_TESTS_OF"] = _scope(item)
        if os.geteuid() == 0:
            os.setpriority(os.PRIO_PROCESS, 0, _priority(_scope(item)))
    return (yield)


def _priority(scope: str) -> int:
    """Those that kill processes at each request count what comes next: a process that gets no
    processor asks less often, or more."""
    if scope.startswith("chaos/"):
        return 5
    return {"cloud of seconds": 0, "cloud": 5}.get(scope, 15)


def _scope(item: pytest.Item) -> str:
    return scope(item.path.relative_to(TESTS).as_posix())


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """Undo what a test, or a fixture of a wider scope before it, did to the process's loggers: the
    command line sets how loud libraries are, for its whole process."""
    _reset_loggers()
    yield
    _reset_loggers()


def _reset_loggers() -> None:
    logging.disable(logging.NOTSET)
    logging.root.setLevel(logging.WARNING)
    for handler in logging.root.handlers[:]:
        if not type(handler).__module__.startswith("_pytest"):
            logging.root.removeHandler(handler)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)
            logger.disabled = False


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """See `shared_cloud`; one for a process."""
    from tests.cloud.conftest import shared_cloud

    with shared_cloud() as shared:
        yield shared


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
def empty_url(postgresql: Server) -> Iterator[str]:
    """One without any tables."""
    from tests.postgresql import EMPTY

    url = postgresql.database(EMPTY)
    yield url
    postgresql.drop(url)
