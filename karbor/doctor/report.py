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
    patient: DiagnosticContext
    countdown: Countdown
    examined_at: float

    @property
    def verdict(self) -> Verdict:
        """BROKEN or OK: warnings and what was not proved do not make it worse."""
        return Verdict.BROKEN if worst(self.patient.findings) is Verdict.BROKEN else Verdict.OK

    @property
    def findings(self) -> Sequence[Finding]:
        """The worst first, else in the order they were found."""
        return sorted(self.patient.findings, key=lambda one: one.verdict.weight)

    @property
    def left(self) -> Sequence[str]:
        """What was made and could not be removed."""
        return self.patient.cleanup.left

    def to_dict(self) -> dict[str, Any]:
        patient, found = self.patient, self.countdown
        wishes = patient.wishes
        return {
            "verdict": self.verdict.value, "hours": wishes.hours, "examined_at": self.examined_at,
            "auth_url": patient.probe.auth_url, "active": wishes.active, "deep": wishes.deep,
            "login": {**patient.user.caller.to_dict(), "issued_at": patient.user.issued_at,
                      "expires_at": patient.user.expires_at, "form": patient.user.form,
                      "renews": patient.user.renews},
            "clock_ahead": -patient.user.ahead,
            "window": {"configured": patient.configured.window,
                       "at_least": patient.bounds.at_least, "at_most": patient.bounds.at_most,
                       "used": found.window},
            "rungs": [{"rung": one.rung.value, "possible": one.possible, "why": one.why,
                       "until": one.until, "ends": _end(one.ends), "remedy": one.remedy}
                      for one in found.rungs],
            "operation": {"until": found.until, "ends": _end(found.ends), "why": found.why,
                          "refused": found.refused},
            "predictions": [one.to_dict() for one in found.predictions],
            "caching": patient.caching,
            "findings": [one.to_dict() for one in self.findings],
            "left": list(self.left),
        }


def _end(moment: float | None) -> float | None:
    """JSON has no infinity."""
    return None if moment is None or moment == float("inf") else moment
