"""What was seen, as a table for people."""

from __future__ import annotations

from dev.endurance.proof import Passage
from dev.endurance.story import Report

HEAD = ("OPERATION", "TENANT", "VERB", "SECONDS", "TOKEN LIVES", "CREDENTIAL CHANGED", "AFTER IT",
        "RESULT")


def show(report: Report) -> None:
    rows = [HEAD, *(_row(one, report.scale.token_life) for one in report.passages)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
              .rstrip())
    for verb in ("protect", "restore"):
        some = [one.ended for one in report.passages if one.verb == verb]
        if some:
            print(f"each {verb}'s process: at most {max(one.memory for one in some):.0f} MiB and "
                  f"{max(one.cpu for one in some):.1f} s of processor time")


def _row(one: Passage, token_life: int) -> tuple[str, ...]:
    created = one.record.get("created_at", 0.0)
    changed = ", ".join(f"after {change.at - created:.0f} s ({change.why})"
                        for change in one.changes)
    steps = len(one.steps_after)
    return (one.record.get("id", "")[:8], one.tenant, one.verb, f"{one.seconds:.0f}",
            f"{one.seconds / token_life:.1f}", changed or "never",
            f"{steps} step{'' if steps == 1 else 's'}",
            one.record.get("state") or f"exit code {one.ended.code}")


def summary(report: Report) -> str:
    """Of a run without faults."""
    counts = {verb: sum(1 for one in report.passages if one.verb == verb)
              for verb in ("protect", "restore")}
    times = [one.seconds for one in report.passages]
    life, window = report.scale.token_life, report.scale.window
    return (f"{counts['protect']} protects and {counts['restore']} restores, each begun with a "
            f"password token of {life} s and a window of {window} s, lasted {min(times):.0f} to "
            f"{max(times):.0f} s ({min(times) / life:.0f} to {max(times) / life:.0f} token lives) "
            "and changed to a trust on the way; every byte is the same, no trust is left")
