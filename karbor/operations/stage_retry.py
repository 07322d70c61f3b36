"""Which failed stage may be made anew, and how often."""

from __future__ import annotations

from enum import StrEnum

from karbor.domain.errors import CloudError, KarborError, WorkInterrupted
from karbor.domain.step import Step
from karbor.engine.runner import Anew
from karbor.operations.execution_context import ExecutionContext
from karbor.operations.work import CREDENTIAL_ENDS


class Cause(StrEnum):
    """Counted one by one in `Step.remade["counts"]`."""

    INTERRUPTED = "interrupted"             # its service broke the work off
    CREDENTIAL_ENDED = "credential ended"   # that with which the work had been asked for


ON_ANOTHER_CREDENTIAL = 1
"""Times that a stage is made anew because its credential had ended: the next one must last."""


def judge(step: Step, error: KarborError, setting: ExecutionContext) -> Anew | None:
    """How the step may be made anew after this failure; None when it may not."""
    ends = step.handle.get(CREDENTIAL_ENDS)     # of the token that a service did the work with
    if isinstance(error, CloudError) and ends is not None and ends <= setting.clock():
        anew = _counted(step, Cause.CREDENTIAL_ENDED, ON_ANOTHER_CREDENTIAL, 0.0)
        if anew is not None:
            return anew
    if isinstance(error, WorkInterrupted):
        return _counted(step, Cause.INTERRUPTED, setting.made_anew, setting.made_anew_pause)
    return None


def _counted(step: Step, cause: Cause, most: int, pause: float) -> Anew | None:
    time = int(step.remade.get("counts", {}).get(cause, 0)) + 1
    return Anew(cause, time, most, pause) if time <= most else None
