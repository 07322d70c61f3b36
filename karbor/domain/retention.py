"""Retention: which checkpoints of a scheduled operation are kept, which go, and why.

Pure: the same checkpoints, rules and time give the same verdicts, and what is left after they have
been carried out gives no more to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, tzinfo
from typing import Any

from karbor.domain.checkpoint import CheckpointState
from karbor.domain.errors import BadInput

DAY = 86400.0
BY_SCHEDULE = "operation-engine"
"""`created_by` of a checkpoint that a scheduled operation made; the other one is `manual`."""


@dataclass(frozen=True)
class Rules:
    """0 means that the rule does not apply.

    A checkpoint is kept if it is among the newest `max_backups` and not older than
    `retention_duration` days (as far as these apply), or if it is the newest of one of the last
    days, ISO weeks, months or years that `keep_daily` … `keep_yearly` count.
    """

    max_backups: int = 0
    retention_duration: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0

    @classmethod
    def from_definition(cls, raw: Mapping[str, Any]) -> Rules:
        """Read the rules of an `operation_definition`: numbers, or strings of digits as Karbor
        1.x's command line sends them; 0, "" and None switch a rule off, and so does a negative
        number that an earlier Karbor has stored. Raises BadInput."""
        return cls(**{field.name: max(0, whole_number(field.name, raw.get(field.name)))
                      for field in fields(cls)})

    @property
    def none(self) -> bool:
        return self == Rules()

    @property
    def periods(self) -> Sequence[tuple[str, str, int]]:
        """Yield name, `strftime` format that is the same within one period, how many are kept."""
        return [one for one in (("day", "%Y-%m-%d", self.keep_daily),
                                ("week", "%G-W%V", self.keep_weekly),
                                ("month", "%Y-%m", self.keep_monthly),
                                ("year", "%Y", self.keep_yearly)) if one[2]]


RULES = tuple(field.name for field in fields(Rules))
"""The keys of an `operation_definition` that are rules of retention."""


def whole_number(name: str, raw: object) -> int:
    """Return a rule's value as a number; 0 for "" and None. Raises BadInput."""
    if raw is None or raw == "":
        return 0
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise BadInput(f"{name} is {raw!r}, which is no whole number")
    try:
        return int(raw)
    except ValueError as error:
        raise BadInput(f"{name} is {raw!r}, which is no whole number") from error


@dataclass(frozen=True)
class Candidate:
    """What retention needs to know of a checkpoint. `damaged`: its last verify found damage."""

    id: str
    created_at: float
    state: CheckpointState
    created_by: str = ""
    scheduled_operation_id: str = ""
    damaged: bool = False


@dataclass(frozen=True)
class Verdict:
    checkpoint_id: str
    kept: bool
    reason: str


def judge(candidates: Iterable[Candidate], scheduled_operation_id: str, rules: Rules, *,
          now: float, zone: tzinfo) -> list[Verdict]:
    """Return one verdict for each checkpoint that is not being deleted already, newest first.

    Only those that this scheduled operation made are counted and removed: another one of the same
    plan has its own rules, and what a person made by hand goes by hand. The newest good one stays
    whatever the rules say. While the newest try ended in error nothing is removed at all: what is
    too old is better than nothing. One that is damaged takes no other's place: it is not counted,
    and goes when the rules would not keep it. `zone`: on whose clocks days and months end.
    """
    told = sorted(
        (candidate for candidate in candidates if candidate.state is not CheckpointState.DELETING),
        key=lambda candidate: (candidate.created_at, candidate.id),
        reverse=True,
    )
    own = [candidate for candidate in told if candidate.created_by == BY_SCHEDULE
           and candidate.scheduled_operation_id == scheduled_operation_id]
    good = [
        candidate
        for candidate in own
        if candidate.state is CheckpointState.AVAILABLE and not candidate.damaged
    ]
    ended = [candidate for candidate in own if candidate.state is not CheckpointState.PROTECTING]
    failing = bool(ended) and ended[0].state is CheckpointState.ERROR
    of_periods = _of_periods(good, rules, zone)
    mine = {candidate.id for candidate in own}
    places = {candidate.id: place for place, candidate in enumerate(good)}
    verdicts = []
    for candidate in told:
        if candidate.id not in mine:
            verdict = Verdict(candidate.id, True, "not made by this scheduled operation")
        elif candidate.state is CheckpointState.PROTECTING:
            verdict = Verdict(candidate.id, True, "is being made")
        elif failing:
            verdict = Verdict(
                candidate.id,
                True,
                f"the newest protect ({ended[0].id}) failed: nothing is removed until one succeeds",
            )
        elif candidate.state is CheckpointState.ERROR:
            verdict = Verdict(candidate.id, False, f"failed, and {good[0].id} is good and newer")
        else:
            place = places.get(
                candidate.id,
                sum(
                    (each.created_at, each.id) > (candidate.created_at, candidate.id)
                    for each in good
                ),
            )
            verdict = _of_good(candidate, place, rules, of_periods, now)
        verdicts.append(verdict)
    return verdicts


def _of_good(candidate: Candidate, place: int, rules: Rules, of_periods: Mapping[str, str],
             now: float) -> Verdict:
    """Return why a good checkpoint stays or goes. `place`: how many good ones are newer."""
    if place == 0:
        return Verdict(
            candidate.id,
            True,
            "damaged, and no newer one is good" if candidate.damaged else "the newest good one",
        )
    if rules.none:
        return Verdict(candidate.id, True, "no rule of retention is set")
    against = []
    age = (now - candidate.created_at) / DAY
    if rules.max_backups and place >= rules.max_backups:
        against.append(f"{place} newer ones are there, max_backups is {rules.max_backups}")
    if rules.retention_duration and age > rules.retention_duration:
        against.append(f"{age:.1f} days old, retention_duration is {rules.retention_duration}")
    if not against and (rules.max_backups or rules.retention_duration):
        return Verdict(candidate.id, True, f"number {place + 1} of the newest, {age:.1f} days old: "
                                     "within max_backups and retention_duration")
    if candidate.id in of_periods:
        return Verdict(candidate.id, True, of_periods[candidate.id])
    if rules.periods:
        against.append("not the newest of any day, week, month or year that is kept")
    return Verdict(candidate.id, False, "; ".join(against))


def _of_periods(good: Sequence[Candidate], rules: Rules, zone: tzinfo) -> dict[str, str]:
    """Return the id of each that is the newest of its period, with the periods in words. Periods
    in which nothing was made do not count, as in restic: a pause must not eat up what was there
    before."""
    out: dict[str, list[str]] = {}
    for name, form, wanted in rules.periods:
        seen: set[str] = set()
        for candidate in good:
            period = datetime.fromtimestamp(candidate.created_at, zone).strftime(form)
            if period in seen:
                continue
            if len(seen) == wanted:
                break
            seen.add(period)
            out.setdefault(candidate.id, []).append(f"{name} {period} ({len(seen)} of {wanted})")
    return {one: "the newest of " + ", ".join(of) for one, of in out.items()}
