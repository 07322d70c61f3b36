"""Serve: Karbor as a service in one process, or the part of it that this process is to be.

    with Server(conf, api=True, worker=True) as server:
        server.wait()

The API, the workers (which also keep the schedules) and, for several of them, a database server are
all there is; whichever process they are in, they meet in the database.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Any, Self

from karbor import config
from karbor.api.application import make_app
from karbor.api.event_stream import StreamLimiter
from karbor.application.checkpoints import CheckpointRequests
from karbor.application.record_copies import RecordCopier
from karbor.application.service_context import ServiceContext
from karbor.cmd.api_wiring import wire
from karbor.cmd.database import open_database
from karbor.cmd.http import HttpServer
from karbor.cmd.http_limits import HttpLimits
from karbor.cmd.monitoring import Monitoring
from karbor.domain.errors import BadInput
from karbor.worker.scheduler import SchedulerThread
from karbor.worker.worker import Worker

LOG = logging.getLogger(__name__)
LOOK = 1.0      # seconds after which the main thread has heard of a SIGHUP, at the latest


class Server:
    """A context manager. Raises BadInput, StoreError when it cannot begin."""

    def __init__(self, conf: config.ConfigOpts, *, api: bool = True, worker: bool = True) -> None:
        self._conf = conf
        self._api = api
        self._worker = worker
        self._stack = ExitStack()
        self._over = threading.Event()
        self._worker_here: Worker | None = None
        self._scheduler_thread: SchedulerThread | None = None
        self._reread = threading.Event()
        self.address = ""

    def __enter__(self) -> Self:
        with self._stack as stack:
            service = ServiceContext(self._conf, open_database(self._conf))
            stack.callback(service.close)
            monitoring = Monitoring(service, "karbor.worker" if self._worker else "karbor.api")
            stack.callback(monitoring.close)
            if self._worker:
                self._work(stack, service, monitoring)
            if self._api:
                # Half of the threads stay for those who ask for something else.
                streams = StreamLimiter(max(1, self._conf.osapi_karbor_threads // 2))
                app = monitoring.beside(application(self._conf, service, self._wake_up, streams))
                http = stack.enter_context(HttpServer(
                    app, self._conf.osapi_karbor_listen, self._conf.osapi_karbor_listen_port,
                    threads=self._conf.osapi_karbor_threads, limits=HttpLimits(
                        self._conf.osapi_karbor_connections,
                        self._conf.osapi_max_request_body_size,
                        self._conf.osapi_karbor_receive_time,
                        max(self._conf.osapi_max_bodies_size,
                            self._conf.osapi_max_request_body_size))))
                stack.callback(streams.end)
                self.address = f"http://{self._conf.osapi_karbor_listen}:{http.port}"
                LOG.info("the API is at %s", self.address)
            self._stack = stack.pop_all()
        return self

    def _work(self, stack: ExitStack, service: ServiceContext, monitoring: Monitoring) -> None:
        stack.enter_context(monitoring.server())
        self._worker_here = stack.enter_context(Worker(
            self._conf, service.providers, service.clouds, service.database,
            notifier=monitoring.notifier))
        self._scheduler_thread = stack.enter_context(SchedulerThread(
            service, CheckpointRequests(service, self._worker_here.wake_up)))
        stack.enter_context(RecordCopier(self._conf, service.providers, service.database))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Answers what was asked and writes down what is under way; it goes on with the next
        start."""
        self._stack.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Until `stop` was called; False when `timeout` seconds passed before."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._over.wait(LOOK if end is None else min(LOOK, end - time.monotonic())):
            if end is not None and time.monotonic() >= end:
                return False
            if self._reread.is_set():
                self._reread.clear()
                self._read_again()
        return True

    def _read_again(self) -> None:
        try:
            config.reread(self._conf)
        except BadInput as error:
            LOG.warning("the configuration is as it was: %s", error)
        else:
            LOG.info("the configuration was read again")

    def stop(self) -> None:
        """End `wait`. From any thread, and from handlers of signals."""
        self._over.set()

    def reload(self) -> None:
        """Read the configuration again, as far as it may change; files of providers and rules are
        looked at whenever they are used. What is wrong with a file is logged, and changes
        nothing."""
        if self._worker_here:
            self._worker_here.reload()      # its thread does it
        else:
            self._reread.set()

    def heed_signals(self) -> None:
        """SIGTERM and SIGINT stop it, SIGHUP makes it read its configuration again."""
        def stop(number: int, _frame: FrameType | None) -> None:
            LOG.info("%s: stopping", signal.Signals(number).name)
            self.stop()

        def reload(_number: int, _frame: FrameType | None) -> None:
            self.reload()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, reload)

    def _wake_up(self) -> None:
        if self._worker_here:
            self._worker_here.wake_up()
        if self._scheduler_thread:
            self._scheduler_thread.wake_up()


def application(conf: config.ConfigOpts, service: ServiceContext, wake_up: Any = lambda: None,
                streams: StreamLimiter | None = None) -> Any:
    """The WSGI application of the API. Raises BadInput."""
    return make_app(conf, wire(service, wake_up, streams))
