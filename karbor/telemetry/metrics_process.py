"""The figures of one process: since it began, and of what it does itself."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric

from karbor.credentials.request_counters import RequestCounters
from karbor.telemetry.notifications import Bus
from karbor.telemetry.operation_counters import OperationCounters

Ends = Sequence[float | None]
Part = Callable[[], Iterator[Metric]]


def process_parts(requests: RequestCounters, token_ends: Callable[[], float | None] | None,
                  driven: OperationCounters | None, outbox: Bus | None,
                  clock: Callable[[], float] = time.time) -> Mapping[str, Part]:
    parts: dict[str, Part] = {"version": _version, "requests": lambda: _requests(requests)}
    if token_ends is not None:
        parts["service_token"] = lambda: _service_token(token_ends(), clock())
    if driven is not None:
        parts["driven"] = lambda: _driven(driven)
    if outbox is not None:
        parts["notifications"] = lambda: _notifications(outbox)
    return parts


def _version() -> Iterator[Metric]:
    family = GaugeMetricFamily("karbor_info", "Always 1; which Karbor this is.",
                               labels=["version", "python"])
    family.add_metric([version("karbor"), platform.python_version()], 1)
    yield family


def _requests(counters: RequestCounters) -> Iterator[Metric]:
    requests = CounterMetricFamily("karbor_cloud_requests", "Requests to the cloud: outcome is the "
                                   "status of the answer, or why there was none.",
                                   labels=["service", "method", "outcome"])
    for (service, method, outcome), count in counters.requests.items():
        requests.add_metric([service, method, outcome], count)
    seconds = CounterMetricFamily("karbor_cloud_request_seconds", "What these requests took all "
                                  "together, until their answers began.",
                                  labels=["service", "method"])
    for (service, method), total in counters.seconds.items():
        seconds.add_metric([service, method], total)
    yield requests
    yield seconds


def _service_token(ends: float | None, now: float) -> Iterator[Metric]:
    family = GaugeMetricFamily("karbor_service_token_seconds", "How long the token of "
                               "[service_user] lives yet. It is renewed two minutes before its "
                               "end, one of less than four minutes after half of its life.")
    if ends is not None:
        family.add_metric([], ends - now)
    yield family


def _driven(driven: OperationCounters) -> Iterator[Metric]:
    took = SummaryMetricFamily("karbor_driven_operation_seconds", "Operations whose end this "
                               "process saw, from their acceptance to their end.",
                               labels=["verb", "state"])
    for (verb, state), (count, seconds) in driven.ended.items():
        took.add_metric([verb, state], count, seconds)
    size = CounterMetricFamily("karbor_driven_resource_bytes", "Whole size of the volumes and "
                               "images of those that succeeded, however little had to be moved of "
                               "it, by the weakest proof of what was read back.",
                               labels=["verb", "evidence"])
    for (verb, evidence), total in driven.bytes.items():
        size.add_metric([verb, evidence], total)
    yield took
    yield size


def _notifications(outbox: Bus) -> Iterator[Metric]:
    told = CounterMetricFamily("karbor_notifications", "Notifications that were sent, and that "
                               "were lost.", labels=["outcome"])
    for outcome, count in outbox.counted.items():
        told.add_metric([outcome], count)
    yield told
    yield GaugeMetricFamily("karbor_notifications_waiting", "Notifications that wait for the bus.",
                            value=outbox.waiting)
