"""Rows ↔ nouns."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import RowMapping

from karbor.domain.operation import Operation, OperationState, Verb, Wanted
from karbor.domain.step import Hook, Progress, Step, StepState


def operation_to_row(operation: Operation) -> dict[str, Any]:
    row = _plain(operation)
    for name in ("caller", "credential", "request", "plan", "result"):
        row[name] = dict(row[name])
    return row


def operation_from_row(row: RowMapping) -> Operation:
    values = {field.name: row[field.name] for field in fields(Operation)}
    values.update(verb=Verb(row["verb"]), state=OperationState(row["state"]),
                  wanted=Wanted(row["wanted"]))
    return Operation(**values)


def step_to_row(operation_id: str, step: Step) -> dict[str, Any]:
    row = _plain(step)
    row.update(operation_id=operation_id, needs=list(step.needs), handle=dict(step.handle),
               saved=dict(step.saved), wait=dict(step.wait), remade=dict(step.remade),
               progress=step.progress.to_dict() if step.progress else None)
    return row


def step_from_row(row: RowMapping) -> Step:
    values = {field.name: row[field.name] for field in fields(Step)}
    progress = row["progress"]
    values.update(hook=Hook(row["hook"]), state=StepState(row["state"]),
                  needs=tuple(row["needs"]),
                  progress=Progress.from_dict(progress) if progress else None)
    return Step(**values)


def _plain(noun: Operation | Step) -> dict[str, Any]:
    """Return the fields as they are; unlike dataclasses.asdict it copies nothing deeply."""
    return {field.name: getattr(noun, field.name) for field in fields(noun)}
