"""Report: what an examination tells, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from karbor.doctor.context import DiagnosticContext
from karbor.doctor.deadlines import Countdown
from karbor.doctor.finding import Finding, Verdict, worst


@dataclass(frozen=True)
class Report:
    context: DiagnosticContext
    countdown: Countdown
    examined_at: float

    @property
    def verdict(self) -> Verdict:
        """Whether something is BROKEN or all is OK: warnings and what was not proved do not make it
        worse."""
        return Verdict.BROKEN if worst(self.context.findings) is Verdict.BROKEN else Verdict.OK

    @property
    def findings(self) -> Sequence[Finding]:
        """The findings, the worst first, else in the order they were found."""
        return sorted(self.context.findings, key=lambda finding: finding.verdict.weight)

    @property
    def left(self) -> Sequence[str]:
        """The things that were made and could not be removed."""
        return self.context.cleanup.left

    def to_dict(self) -> dict[str, Any]:
        context, countdown = self.context, self.countdown
        options = context.options
        return {
            "verdict": self.verdict.value,
            "hours": options.hours,
            "examined_at": self.examined_at,
            "auth_url": context.probe.auth_url,
            "active": options.active,
            "deep": options.deep,
            "login": {
                **context.user.caller.to_dict(),
                "issued_at": context.user.issued_at,
                "expires_at": context.user.expires_at,
                "form": context.user.form,
                "renews": context.user.renews,
            },
            "clock_ahead": -context.user.ahead,
            "window": {
                "configured": context.configured.window,
                "at_least": context.bounds.at_least,
                "at_most": context.bounds.at_most,
                "used": countdown.window,
            },
            "rungs": [
                {
                    "rung": kind.kind.value,
                    "possible": kind.possible,
                    "why": kind.why,
                    "until": kind.until,
                    "ends": _end(kind.ends),
                    "remedy": kind.remedy,
                }
                for kind in countdown.kinds
            ],
            "operation": {
                "until": countdown.until,
                "ends": _end(countdown.ends),
                "why": countdown.why,
                "refused": countdown.refused,
            },
            "predictions": [prediction.to_dict() for prediction in countdown.predictions],
            "caching": context.caching,
            "findings": [finding.to_dict() for finding in self.findings],
            "left": list(self.left),
        }


def _end(moment: float | None) -> float | None:
    """Return the end as JSON can tell it, which has no infinity: None for never."""
    return None if moment is None or moment == float("inf") else moment
