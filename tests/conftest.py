"""What all tests have in common: who yields to whom."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Generator

import pytest

CLOUD = pathlib.Path(__file__).parent / "cloud"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Where two processes share the tests, those that need no cloud yield to the cloud and its
    tests, which are about tokens of seconds. (Only root may take a priority back.)"""
    if "PYTEST_XDIST_WORKER" in os.environ and os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0 if item.path.is_relative_to(CLOUD) else 15)
    return (yield)
