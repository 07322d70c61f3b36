"""Monitoring: what the processes of a service tell Prometheus and the message bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from karbor import config
from karbor.application.service_context import ServiceContext
from karbor.operations.events import Notifiers
from karbor.store.scheduled_operations import ScheduledOperations
from karbor.telemetry.metrics import MetricsServer, Sources, Wsgi, metrics, metrics_app
from karbor.telemetry.notifications import Bus, notifications
from karbor.telemetry.operation_counters import OperationCounters

PATH = "/metrics"


class Monitoring:
    """Of one process. `name` is what the process is called on the bus. Raises BadInput."""

    def __init__(self, service: ServiceContext, name: str) -> None:
        self._service = service
        self._driven = OperationCounters()
        self._bus: Bus | None = notifications(service.conf, f"{name}.{config.host(service.conf)}")
        self.notifier = Notifiers(self._driven, *([self._bus] if self._bus else []))
        schedules = ScheduledOperations(service.database)
        self._registry = metrics(
            service.conf,
            Sources(
                database=service.database,
                driven=self._driven,
                outbox=self._bus,
                service_token_ends=service.service_token_ends,
                rights=lambda: [
                    scheduled_operation.credential.get("until")
                    for scheduled_operation in schedules.enabled()
                ],
            ),
        )

    def server(self) -> MetricsServer:
        """Of a worker, as [metrics] says; a context manager."""
        return MetricsServer(self._service.conf, self._registry)

    def beside(self, application: Any) -> Any:
        """The API with the figures at PATH, where [metrics] api says so."""
        if not self._service.conf.metrics.api:
            return application
        figures: Wsgi = metrics_app(self._registry)

        def both(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            wanted = figures if environ.get("PATH_INFO") == PATH else application
            return wanted(environ, start_response)

        return both

    def close(self) -> None:
        """Send what waits for the bus."""
        if self._bus:
            self._bus.close()
