"""What one test does to the process, the next one must not see."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


def _levels() -> dict[str, int]:
    return {name: one.level for name, one in logging.root.manager.loggerDict.items()
            if isinstance(one, logging.Logger)}


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """The command line sets how loud libraries are, for its whole process."""
    before, root, handlers = _levels(), logging.root.level, list(logging.root.handlers)
    yield
    logging.root.setLevel(root)
    for handler in [one for one in logging.root.handlers if one not in handlers]:
        logging.root.removeHandler(handler)
    for name in _levels():
        logging.getLogger(name).setLevel(before.get(name, logging.NOTSET))
