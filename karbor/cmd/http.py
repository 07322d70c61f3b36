"""HTTP: a WSGI application on an address, in threads of this process (by waitress)."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Any, Self

from waitress import wasyncore
from waitress.server import create_server

from karbor.cmd.http_limits import HttpLimits, limited
from karbor.domain.errors import BadInput

LOG = logging.getLogger(__name__)
GRACE = 30.0    # seconds that requests under way have when the server stops
LOOK = 0.02


class HttpServer:
    """A context manager: it serves while it is open."""

    def __init__(self, application: Any, host: str, port: int, *, threads: int,
                 limits: HttpLimits) -> None:
        """Raises BadInput when the address cannot be had."""
        self._sockets: dict[int, Any] = {}     # all that the server's loop looks after
        try:
            self._server = create_server(application, host=host, port=port, threads=threads,
                                         ident="karbor", clear_untrusted_proxy_headers=False,
                                         send_bytes=1,   # what is told is told at once
                                         map=self._sockets, **limits.options())
        except OSError as error:
            raise BadInput(f"nothing can be served at {host}:{port}: {error.strerror or error}",
                           remedy="see who listens there, or choose another address or port"
                           ) from error
        limited(self._server, limits)
        self._thread = threading.Thread(target=self._server.run, name="http")

    @property
    def port(self) -> int:
        return int(self._server.effective_port)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Accept nothing more; returns when what was under way is answered, or after GRACE."""
        if not self._thread.is_alive():
            return
        server, until = self._server, time.monotonic() + GRACE
        self._close_socket()
        server.task_dispatcher.shutdown(cancel_pending=False, timeout=GRACE)
        if server.task_dispatcher.threads:
            LOG.warning("requests were still under way after %s s", GRACE)
        while (
            any(
                active_channel.total_outbufs_len
                for active_channel in list(server.active_channels.values())
            )
            and time.monotonic() < until
        ):
            time.sleep(LOOK)
        try:
            server.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets))
        except OSError:
            self._close_connections()
        self._thread.join(GRACE)

    def _close_socket(self) -> None:
        try:
            self._server.trigger.pull_trigger(
                lambda: wasyncore.dispatcher.close(self._server))
        except OSError:     # see `_close_connections`: the socket is closed already
            LOG.debug("the server's loop has closed its socket by itself")

    def _close_connections(self) -> None:
        """Close them when the loop looks at them next, within a second. (It came to the closed
        socket first and took that for the server's end, which closes what wakes it, too.)"""
        for channel in list(self._server.active_channels.values()):
            channel.will_close = True
