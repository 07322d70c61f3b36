"""Retention as it is carried out: in which order, and what when a deletion does not work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from karbor.domain.checkpoint import CheckpointState
from karbor.domain.errors import BadInput, CloudUnavailable, Conflict, KarborError
from karbor.domain.retention import BY_SCHEDULE, DAY, Candidate
from karbor.domain.scheduled_operation import OperationType, ScheduledOperation
from karbor.domain.trigger import PatternFormat, Trigger, TriggerProperties
from karbor.schedule.retention import Retention

NOW = 1_000 * DAY
TRIGGER = Trigger("t", "p", "nightly", TriggerProperties(
    PatternFormat.CRONTAB, "0 2 * * *", 0.0, time_zone="Europe/Berlin"), created_at=0.0)


def scheduled(**rules: object) -> ScheduledOperation:
    return ScheduledOperation(
        "s", "p", "nightly", OperationType.RETENTION_PROTECT, "t",
        {"plan_id": "plan", "provider_id": "provider", **rules}, caller={}, credential={},
        created_at=0.0)


@dataclass
class Checkpoints:
    there: list[Candidate]
    broken: dict[str, KarborError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def checkpoints(self, scheduled_operation: ScheduledOperation) -> Sequence[Candidate]:
        return self.there

    def delete(self, scheduled_operation: ScheduledOperation, checkpoint_id: str) -> None:
        self.asked.append(checkpoint_id)
        if error := self.broken.get(checkpoint_id):
            raise error
        self.there = [one for one in self.there if one.id != checkpoint_id]


@pytest.fixture
def checkpoints() -> Checkpoints:
    return Checkpoints([Candidate(str(number), NOW - (4 - number) * DAY, CheckpointState.AVAILABLE,
                            BY_SCHEDULE, "s") for number in range(5)])


def test_a_preview_removes_nothing(checkpoints: Checkpoints) -> None:
    told = Retention(checkpoints).preview(scheduled(max_backups="2"), TRIGGER, NOW)
    assert [(one.checkpoint_id, one.kept) for one in told] == [
        ("4", True), ("3", True), ("2", False), ("1", False), ("0", False)]
    assert checkpoints.asked == []


def test_the_oldest_goes_first_and_what_was_done_is_told(checkpoints: Checkpoints) -> None:
    retention = Retention(checkpoints)
    told = retention.carry_out(scheduled(max_backups="3"), TRIGGER, NOW)
    assert told == ("removed 2, kept 3; removed: 0 (4 newer ones are there, max_backups is 3), "
                    "1 (3 newer ones are there, max_backups is 3)")
    assert retention.carry_out(scheduled(max_backups="3"), TRIGGER, NOW) == "removed 0, kept 3"
    assert checkpoints.asked == ["0", "1"]


def test_one_that_is_worked_on_stays_until_the_next_time(checkpoints: Checkpoints) -> None:
    checkpoints.broken["0"] = Conflict("a restore works on it")
    told = Retention(checkpoints).carry_out(scheduled(max_backups=3), TRIGGER, NOW)
    assert "removed 1, kept 3" in told
    assert "0: a restore works on it" in told
    assert [one.id for one in checkpoints.there] == ["0", "2", "3", "4"]


def test_a_cloud_that_is_away_for_a_moment_is_told_after_the_others(
        checkpoints: Checkpoints) -> None:
    checkpoints.broken["0"] = CloudUnavailable("swift does not answer")
    with pytest.raises(CloudUnavailable):
        Retention(checkpoints).carry_out(scheduled(max_backups=3), TRIGGER, NOW)
    assert checkpoints.asked == ["0", "1"]


def test_rules_that_cannot_be_read_remove_nothing(checkpoints: Checkpoints) -> None:
    with pytest.raises(BadInput, match="max_backups"):
        Retention(checkpoints).carry_out(scheduled(max_backups="few"), TRIGGER, NOW)
    assert checkpoints.asked == []
