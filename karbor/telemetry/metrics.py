"""Metrics: what Prometheus is told, by the API and by workers.

    registry = metrics(conf, Sources(database=…))
    application = metrics_app(registry)             # for the API, at /metrics
    with MetricsServer(conf, registry): …           # for a worker

Figures come in parts. One that cannot be told is missing from the answer, which says so itself: a
scrape that failed as a whole would hide the others as well.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from karbor import config
from karbor.credentials.request_counters import OF_THIS_PROCESS, RequestCounters
from karbor.domain.errors import BadInput, KarborError
from karbor.store.statistics import Statistics
from karbor.telemetry.metrics_database import database_parts
from karbor.telemetry.metrics_process import Ends, process_parts
from karbor.telemetry.notifications import Bus
from karbor.telemetry.operation_counters import OperationCounters

LOG = logging.getLogger(__name__)

Part = Callable[[], Iterable[Metric]]
"""One part of the answer. May raise."""

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass(frozen=True)
class Sources:
    """What the figures of one process are made of; what it cannot know stays None. `database` is an
    engine of SQLAlchemy. `service_token_ends` as `Authority.service_token_ends`. `rights` gives the
    end of what each enabled schedule runs on (seconds since the epoch; None: no end), of all
    projects. `more` are parts by their names."""

    database: Any = None
    service_token_ends: Callable[[], float | None] | None = None
    driven: OperationCounters | None = None
    outbox: Bus | None = None
    rights: Callable[[], Ends] | None = None
    requests: RequestCounters = OF_THIS_PROCESS
    more: Mapping[str, Part] = field(default_factory=dict)


def metrics(conf: config.ConfigOpts, sources: Sources) -> CollectorRegistry:
    """Return a registry of its own: libraries that use the global one do not appear."""
    parts: dict[str, Part] = {}
    if sources.database is not None and conf.metrics.database:
        parts.update(database_parts(Statistics(sources.database), plans=conf.metrics.plans,
                                    fresh=conf.metrics.fresh, rights=sources.rights))
    parts.update(process_parts(sources.requests, sources.service_token_ends, sources.driven,
                               sources.outbox))
    parts.update(sources.more)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Parts(parts))
    ProcessCollector(registry=registry)
    return registry


def metrics_app(registry: CollectorRegistry) -> Wsgi:
    """Return a WSGI application that answers whoever asks, wherever it is mounted."""
    application: Wsgi = make_wsgi_app(registry)
    return application


class Parts(Collector):
    """Tells each part that can be told, and of each whether it could. Safe for threads."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._parts = dict(parts)
        self._lock = threading.Lock()
        self._errors = dict.fromkeys(parts, 0)
        self._failing: set[str] = set()

    def collect(self) -> Iterator[Metric]:
        good = GaugeMetricFamily("karbor_scrape_good", "Whether this part of the figures could be "
                                 "told.", labels=["part"])
        for name, part in self._parts.items():
            families = self._told(name, part)
            yield from families or ()
            good.add_metric([name], families is not None)
        yield good
        errors = CounterMetricFamily("karbor_scrape_errors", "Times that this part of the figures "
                                     "could not be told, since the process began.",
                                     labels=["part"])
        with self._lock:
            for name, count in self._errors.items():
                errors.add_metric([name], count)
        yield errors

    def _told(self, name: str, part: Part) -> list[Metric] | None:
        try:
            families = list(part())
        except KarborError as error:
            if self._failed(name):
                LOG.warning("metrics of %s cannot be told: %s", name, error)
            return None
        except Exception:       # a fault of ours: it must be seen, and take no other part with it
            if self._failed(name):
                LOG.exception("metrics of %s cannot be told", name)
            return None
        with self._lock:
            self._failing.discard(name)
        return families

    def _failed(self, name: str) -> bool:
        """Note that a part could not be told. Return whether that is news."""
        with self._lock:
            self._errors[name] += 1
            news = name not in self._failing
            self._failing.add(name)
        return news


class MetricsServer:
    """A context manager: answers as [metrics] says, or, where that is not enabled, does nothing.
    `port` is where it listens, None if it does not."""

    def __init__(self, conf: config.ConfigOpts, registry: CollectorRegistry) -> None:
        self._options = conf.metrics
        self._registry = registry
        self._stop: Callable[[], None] = lambda: None
        self.port: int | None = None

    def __enter__(self) -> Self:
        """Begin to listen. Raises BadInput when it cannot listen there."""
        if not self._options.enabled:
            return self
        address, port = self._options.listen_address, self._options.listen_port
        try:
            server, thread = start_http_server(port, address, self._registry)
        except OSError as error:
            raise BadInput(f"[metrics]: cannot listen at {address}, port {port}: "
                           f"{error.strerror or error}",
                           remedy="choose another listen_address or listen_port") from error

        def stop() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        self.port, self._stop = server.server_port, stop
        LOG.info("metrics at http://%s:%s/metrics", address, self.port)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop()
