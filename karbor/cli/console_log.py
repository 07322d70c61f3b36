"""Log messages on stderr: none but warnings, unless asked for."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from karbor.telemetry.log_filter import SecretFilter

_LOUD = ("urllib3", "requests", "stevedore", "openstack", "alembic", "sqlalchemy",
         "markdown_it", "asyncio", "keystoneauth")
"""Not heard at all, unless everything is to be."""


class _Stderr(logging.StreamHandler[TextIO]):
    """Asks for sys.stderr at every message: a live table puts its own in place of it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:     # type: ignore[override]
        return sys.stderr


def set_up_logging(*, verbose: bool = False, debug: bool = False) -> None:
    """Log Karbor's warnings always; with `verbose` what it does; with `debug` everything that is no
    secret."""
    root = logging.getLogger()
    if not any(isinstance(one, _Stderr) for one in root.handlers):
        handler = _Stderr()
        handler.addFilter(SecretFilter())
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.ERROR)
