"""Progress where there is no terminal: a line for every change, with its time."""

from __future__ import annotations

from collections.abc import Sequence

import click

from karbor.cli.formatting import clock, lapse, titles
from karbor.cli.steps_view import graph_of, message, stage_name
from karbor.domain.operation import Operation
from karbor.domain.step import Step, StepState

_TOLD = {StepState.ENTERED, StepState.RUNNING, StepState.DONE, StepState.FAILED,
         StepState.UNDOING, StepState.UNDONE, StepState.LEFT}


class Lines:
    """Says on stderr what has changed since it was last shown."""

    def __init__(self, *, since: Sequence[Step] = ()) -> None:
        self._state = ""
        self._kind = ""
        self._seen: dict[int, str] = {step.number: _word(step) for step in since}
        self._titles: dict[str, str] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def show(self, operation: Operation, steps: Sequence[Step], now: float) -> None:
        if not operation.state.over:
            self._show_state(operation, now)
        self._show_rung(operation, now)
        for step in steps:
            word = _word(step)
            if not step.resource or step.state not in _TOLD or self._seen.get(step.number) == word:
                continue
            self._seen[step.number] = word
            when = now if step.state is StepState.UNDOING else step.finished_at or now
            self._say(when, f"{self._name(operation, step)}: {word}")
        self._show_state(operation, now)

    def _show_state(self, operation: Operation, now: float) -> None:
        if operation.state != self._state:
            self._state = operation.state
            why = str((operation.error or {}).get("message", ""))
            why = f": {why}" if why and why != operation.state else ""
            self._say(operation.finished_at or now, f"{operation.verb}: {operation.state}{why}")

    def _show_rung(self, operation: Operation, now: float) -> None:
        """Show that the operation has changed its credential. What it began with has been said
        already."""
        kind = str(operation.credential.get("rung", ""))
        if self._kind and kind != self._kind:
            self._say(now, f"{operation.verb}: goes on with {kind}")
        self._kind = kind

    def event(self, at: float, text: str) -> None:
        self._say(at, text)

    def note(self, text: str) -> None:
        click.echo(text, err=True)

    def _name(self, operation: Operation, step: Step) -> str:
        if not self._titles and (graph := graph_of(operation)) is not None:
            self._titles = titles(graph)
        return self._titles.get(step.resource, step.resource)

    @staticmethod
    def _say(when: float, text: str) -> None:
        click.echo(f"{clock(when)}  {text}", err=True)


def _word(step: Step) -> str:
    name = stage_name(step)
    match step.state:
        case StepState.ENTERED | StepState.RUNNING:
            return f"{name} …"
        case StepState.DONE:
            took = ""
            if step.finished_at is not None and step.entered_at is not None:
                took = f" ({lapse(step.entered_at, step.finished_at)})"
            return f"{name}: done{took}"
        case StepState.FAILED | StepState.LEFT:
            return f"{name}: {step.state}: {message(step)}"
        case _:
            return f"{name}: {step.state}"
