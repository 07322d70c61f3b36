"""The API for a WSGI server, which brings its own processes and threads:

    gunicorn karbor.cmd.wsgi:application
    uwsgi --module karbor.cmd.wsgi:application
    uwsgi --wsgi-file /opt/karbor/bin/karbor-wsgi

The configuration is that of KARBOR_CONFIG, or the usual files. Workers (`karbor worker`) drive what
it accepts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from karbor import config


def _made() -> Any:
    from karbor.application.service_context import ServiceContext  # noqa: PLC0415
    from karbor.cmd import logs  # noqa: PLC0415 - once, when first asked
    from karbor.cmd.database import open_database  # noqa: PLC0415
    from karbor.cmd.monitoring import Monitoring  # noqa: PLC0415
    from karbor.cmd.serve import application as made  # noqa: PLC0415

    conf = config.load()
    logs.set_up(conf)
    service = ServiceContext(conf, open_database(conf))
    return Monitoring(service, "karbor.api").beside(made(conf, service))


def _serve() -> None:
    from karbor.cmd import logs  # noqa: PLC0415 - not for a server of WSGI
    from karbor.cmd.serve import Server  # noqa: PLC0415

    conf = config.load()
    logs.set_up(conf)
    server = Server(conf, api=True, worker=False)
    server.heed_signals()
    with server:
        server.wait()


class _Application:
    """Made at the first request: connections and locks must not be inherited by a fork.

    The script `karbor-wsgi` holds it under the name that WSGI servers look for; run as a command,
    it is `karbor api`.
    """

    def __init__(self) -> None:
        self._lock = Lock()     # of several first requests one makes it, and the others wait
        self._application: Any = None

    def __call__(self, environ: dict[str, Any] | None = None,
                 start_response: Callable[..., Any] | None = None) -> Iterable[bytes]:
        if environ is None:
            _serve()
            sys.exit()
        if self._application is None:
            with self._lock:
                if self._application is None:
                    self._application = _made()
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer


application = _Application()
