"""The API for a WSGI server, which brings its own processes and threads:

    gunicorn karbor.cmd.wsgi:application
    uwsgi --module karbor.cmd.wsgi:application

The configuration is that of KARBOR_CONFIG, or the usual files. Workers (`karbor worker`) drive what
it accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from karbor import config


@cache
def _application() -> Any:
    from karbor.cmd import logs  # noqa: PLC0415 - once, when first asked
    from karbor.cmd.database import open_database  # noqa: PLC0415
    from karbor.cmd.monitoring import Monitoring  # noqa: PLC0415
    from karbor.cmd.serve import application as made  # noqa: PLC0415
    from karbor.cmd.service import Service  # noqa: PLC0415

    conf = config.load()
    logs.set_up(conf)
    service = Service(conf, open_database(conf))
    return Monitoring(service, "karbor.api").beside(made(conf, service))


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Made at the first request: connections and locks must not be inherited by a fork."""
    answer: Iterable[bytes] = _application()(environ, start_response)
    return answer
