"""The database of operations that the configuration names."""

from __future__ import annotations

from typing import Any

from karbor import config
from karbor.store.connect import connect
from karbor.store.upgrade import Version, upgrade, version


def open_database(conf: config.ConfigOpts) -> Any:
    """Open, and with the tables of this Karbor; `dispose` of it. Any number of processes may do
    this at once. Raises BadInput, StoreUnavailable, NewerDatabase."""
    engine = connect(config.database_url(conf))
    try:
        upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def database_version(conf: config.ConfigOpts) -> Version:
    """Changes nothing (an SQLite file is made where there is none). Raises as `open_database`."""
    engine = connect(config.database_url(conf))
    try:
        return version(engine)
    finally:
        engine.dispose()
