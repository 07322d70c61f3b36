"""The figures that come from the database: the same, whichever process of Karbor tells them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from karbor.domain.checkpoint_record import RecordStatus
from karbor.domain.operation import OperationState, Verb
from karbor.store.statistics import (
    CredentialFigure,
    OperationCount,
    PlanFigure,
    PlansFigure,
    Statistics,
)
from karbor.telemetry.metrics_process import Ends
from karbor.telemetry.ttl_cache import TtlCache

Part = Callable[[], Iterator[Metric]]
Clock = Callable[[], float]


def database_parts(figures: Statistics, *, plans: bool, fresh: float,
                   rights: Callable[[], Ends] | None = None, clock: Clock = time.time
                   ) -> Mapping[str, Part]:
    """Return the parts of the figures that the database tells. Each asks the database once in
    `fresh` seconds; ages are those of the moment of telling."""
    operations = TtlCache(figures.operations, fresh)
    checkpoints = TtlCache(figures.checkpoints, fresh)
    verified = TtlCache(figures.verified, fresh)
    copies = TtlCache(figures.record_copies, fresh)
    credentials = TtlCache(figures.credentials, fresh)
    parts: dict[str, Part] = {
        "operations": lambda: _operations(operations(), clock()),
        "checkpoints": lambda: _checkpoints(checkpoints()),
        "verifies": lambda: _verified(verified()),
        "records": lambda: _record_copies(*copies(), clock()),
        "credentials": lambda: _credentials(credentials(), clock())}
    if plans:
        each = TtlCache(figures.plans, fresh)
        parts["plans"] = lambda: _each_plan(each(), clock())
    else:
        together = TtlCache(figures.all_plans, fresh)
        parts["plans"] = lambda: _plans(together(), clock())
    if rights is not None:
        ends = TtlCache(rights, fresh)
        parts["rights"] = lambda: _rights(ends(), clock())
    return parts


def _operations(standings: Sequence[OperationCount], now: float) -> Iterator[Metric]:
    """Yield the figures of operations. Those that are not over are as they are now; those that are
    over only become more."""
    found = {(standing.verb, standing.state): standing.count for standing in standings}
    live = GaugeMetricFamily("karbor_operations", "Operations that are not over.",
                             labels=["verb", "state"])
    ended = CounterMetricFamily("karbor_operations_ended", "Operations that are over, of all that "
                                "the database remembers.", labels=["verb", "state"])
    for verb in Verb:
        for state in OperationState:
            (ended if state.over else live).add_metric([verb, state], found.get((verb, state), 0))
    queued = [standing for standing in standings if standing.state is OperationState.QUEUED]
    yield live
    yield ended
    yield GaugeMetricFamily("karbor_queue_operations", "Operations that were accepted and not "
                            "begun.", value=sum(count.count for count in queued))
    yield GaugeMetricFamily("karbor_queue_oldest_seconds", "How long the oldest of them has been "
                            "waiting; 0 when none is.",
                            value=max((now - count.oldest for count in queued), default=0.0))


def _checkpoints(counted: Mapping[tuple[str, RecordStatus], int]) -> Iterator[Metric]:
    family = GaugeMetricFamily("karbor_checkpoints", "Checkpoints that are not deleted, as far as "
                               "the database knows of them.", labels=["provider_id", "status"])
    statuses = [
        record_status for record_status in RecordStatus if record_status is not RecordStatus.DELETED
    ]
    for provider in sorted({provider for provider, _ in counted}):
        for status in statuses:
            family.add_metric([provider, status], counted.get((provider, status), 0))
    yield family


def _verified(counted: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    family = GaugeMetricFamily("karbor_checkpoints_verified", "Available checkpoints by what their "
                               "last verify found; never: there was none.",
                               labels=["provider_id", "found"])
    for provider in sorted({provider for provider, _ in counted}):
        for found in ("good", "damaged", "never"):
            family.add_metric([provider, found], counted.get((provider, found), 0))
    yield family


def _record_copies(waiting: int, since: float | None, now: float) -> Iterator[Metric]:
    yield GaugeMetricFamily("karbor_record_copies_waiting", "Projects whose plans, schedules and "
                            "the like have changed and are not in their banks yet.", value=waiting)
    yield GaugeMetricFamily("karbor_record_copies_oldest_seconds", "How long the first of them has "
                            "been waiting; 0 when none is.",
                            value=0.0 if since is None else max(0.0, now - since))


def _each_plan(found: Sequence[PlanFigure], now: float) -> Iterator[Metric]:
    labels = ["plan_id", "plan_name", "project_id"]
    age = GaugeMetricFamily("karbor_plan_unprotected_seconds", "Age of what the plan's newest good "
                            "checkpoint holds; without one, age of the plan.", labels=labels)
    good = GaugeMetricFamily("karbor_plan_good_checkpoints", "Available checkpoints of the plan in "
                             "which no verify has found damage.", labels=labels)
    verified = GaugeMetricFamily("karbor_plan_verified_seconds", "How long ago one of them was "
                                 "last verified; missing before the first time.", labels=labels)
    for plan_figure in found:
        values = [plan_figure.id, plan_figure.name, plan_figure.project_id]
        age.add_metric(values, now - plan_figure.since)
        good.add_metric(values, plan_figure.good)
        if plan_figure.verified is not None:
            verified.add_metric(values, now - plan_figure.verified)
    yield age
    yield good
    yield verified
    yield from _plans(
        PlansFigure(
            len(found),
            sum(not plan_figure.good for plan_figure in found),
            min((plan_figure.since for plan_figure in found), default=None),
        ),
        now,
    )


def _plans(found: PlansFigure, now: float) -> Iterator[Metric]:
    yield GaugeMetricFamily("karbor_plans", "Plans of all projects.", value=found.count)
    yield GaugeMetricFamily("karbor_plans_without_good_checkpoint", "Plans that have no available "
                            "checkpoint.", value=found.without)
    yield GaugeMetricFamily("karbor_plans_unprotected_seconds_max", "The greatest "
                            "karbor_plan_unprotected_seconds of all plans; 0 without any.",
                            value=0.0 if found.since is None else now - found.since)


def _credentials(found: Sequence[CredentialFigure], now: float) -> Iterator[Metric]:
    """Yield the figures of credentials. What has no end has no countdown."""
    operations = GaugeMetricFamily("karbor_credential_operations", "Operations that are not over, "
                                   "by the credential that they run on now.", labels=["rung"])
    change = GaugeMetricFamily("karbor_credential_change_seconds", "Seconds until the first of "
                               "them has to change to its next credential, or end.",
                               labels=["rung"])
    end = GaugeMetricFamily("karbor_credential_end_seconds", "Seconds until nothing carries the "
                            "first of them any more: it is undone then.", labels=["rung"])
    for rung_figure in found:
        kind = rung_figure.kind or "none"
        operations.add_metric([kind], rung_figure.count)
        if rung_figure.leaves is not None:
            change.add_metric([kind], rung_figure.leaves - now)
        if rung_figure.ends is not None:
            end.add_metric([kind], rung_figure.ends - now)
    yield operations
    yield change
    yield end


def _rights(ends: Ends, now: float) -> Iterator[Metric]:
    known = list(ends)
    yield GaugeMetricFamily("karbor_schedule_rights", "Schedules that have rights to run on.",
                            value=len(known))
    first = GaugeMetricFamily("karbor_schedule_right_end_seconds", "Seconds until the first of "
                              "these rights ends.")
    finite = [one for one in known if one is not None]
    if finite:
        first.add_metric([], min(finite) - now)
    yield first
