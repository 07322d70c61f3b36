"""Patience: for how long a step waits, how often it looks, and what is said of it meanwhile.

`Step.wait` keeps it over restarts: `kind` and `what` (see `Wait`), `since` and `until` (seconds
since the epoch), `looks` (in a row, without news), and while a service does not answer `trouble`:
`since`, `tries`, `why`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from karbor.domain.step import Again, Step, Wait
from karbor.engine.runner import REMOVAL

UNTOLD_LOOKS = 20           # looks without news that are made without a line about them
UNTOLD_TRIES = 5            # tries of a service that does not answer, in the same way
LONGEST_PAUSE_SECONDS = 60.0
SHARE = 0.02                # of the time it has waited, a step that sees no news waits once more
SHARE_OF_REMOVAL = 0.1      # the same, where each look may be a request that is refused


def waited(step: Step, outcome: Again, allowed: float, now: float) -> dict[str, Any]:
    """Return what the step waits for from now on, given that it asked to be called again."""
    wait = outcome.wait or Wait("")
    before = step.wait
    goes_on = bool(before) and before.get("kind") == wait.kind
    since = float(before["since"]) if goes_on else now
    news = not goes_on or (outcome.progress is not None and outcome.progress != step.progress)
    if outcome.wait is not None:
        news = news or before.get("what") != wait.what
    elif outcome.handle is not None:
        news = news or dict(outcome.handle) != dict(step.handle)
    return {"kind": wait.kind, "what": wait.what, "since": since, "until": since + allowed,
            "looks": 0 if news else int(before["looks"]) + 1}


def troubled(step: Step, why: str, now: float) -> dict[str, Any]:
    """Return what the step waits for, given that a service did not answer."""
    before = step.wait.get("trouble") or {"since": now, "tries": 0}
    return {**step.wait, "trouble": {"since": before["since"], "tries": before["tries"] + 1,
                                     "why": why}}


def pause(outcome: Again, wait: Mapping[str, Any], now: float) -> float:
    """Return the seconds until the next look: what the stage asks for, and more where it sees no
    news."""
    if not wait["looks"]:
        return outcome.after
    share = SHARE_OF_REMOVAL if wait["kind"] == REMOVAL else SHARE
    return max(outcome.after, min(LONGEST_PAUSE_SECONDS, share * (now - float(wait["since"]))))


def told(label: str, wait: Mapping[str, Any]) -> str:
    """Return the line that is due now; "" when none is."""
    trouble = wait.get("trouble")
    if trouble:
        if trouble["tries"] % UNTOLD_TRIES:
            return ""
        return (f"{label} is tried again and again since {clock(trouble['since'])}: "
                f"{trouble['why']}")
    if not wait["looks"] or wait["looks"] % UNTOLD_LOOKS:
        return ""
    what = f"waits for {wait['what']}" if wait["what"] else "is not over yet"
    return (f"{label} {what}, since {clock(wait['since'])}, "
            f"until {clock(wait['until'])} at the latest")


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
