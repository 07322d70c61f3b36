"""Finding: one thing that was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    BROKEN = "broken"           # an operation of the length asked about would fail by it
    WARNING = "warning"         # it would not, but longer ones, or others, would
    UNPROVEN = "unproven"       # it was not looked at, or cannot be seen from outside
    OK = "ok"

    @property
    def weight(self) -> int:
        return list(Verdict).index(self)


@dataclass(frozen=True)
class Finding:
    """`check` says what was looked at, `subject` where. `seen` is the fact, `means` what it does to
    an operation of the length asked about, `fix` the remedy with the exact option."""

    check: str
    subject: str
    verdict: Verdict
    seen: str
    means: str = ""
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict.value}


def worst(findings: list[Finding]) -> Verdict:
    """Return the worst verdict; OK where nothing was found."""
    return min(
        (finding.verdict for finding in findings),
        key=lambda verdict: verdict.weight,
        default=Verdict.OK,
    )
