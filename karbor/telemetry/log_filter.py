"""Discretion: what no log shows, whatever the configuration or the command line asks for.

Libraries tell at DEBUG, and some at INFO, what goes through them: bodies and headers with tokens,
statements and rows with sealed credentials, user data of servers. Karbor's own lines name requests
and operations by their ids, and nothing of the kind.
"""

from __future__ import annotations

import logging

OURS = "karbor"
SECRET_LIBRARIES = frozenset({"sqlalchemy", "alembic", "keystoneauth", "keystoneclient", "urllib3",
                              "http", "requests"})
"""Libraries that are heard from WARNING on; all others from INFO on."""


class SecretFilter(logging.Filter):
    """For handlers: there every line comes by, whichever logger it is from."""

    def filter(self, record: logging.LogRecord) -> bool:
        library = record.name.partition(".")[0]
        if library == OURS or record.levelno >= logging.WARNING:
            return True
        return record.levelno >= logging.INFO and library not in SECRET_LIBRARIES
