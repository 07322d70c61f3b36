"""Credential view: on which credential an operation runs, for how long still, and what follows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from karbor.cli.formatting import duration, moment
from karbor.domain.operation import Operation


def credential_facts(credential: Mapping[str, Any], *, over: bool = False
                     ) -> list[tuple[str, str]]:
    """Return name and text of each thing that can be said of a credential."""
    told = f"{credential.get('rung', '')} of cloud {credential.get('cloud', '')}"
    if over:
        return [("credential", told)]
    why = credential.get("why", "nothing is known of it")
    facts = [("credential", told),
             ("can run", f"{_until(credential.get('deadline'))}, because {why}")]
    facts += [("then", f"{one['rung']} {_until(one['until'])}, because {one['why']}")
              for one in credential.get("following") or ()]
    if needed := credential.get("needed"):
        facts.append(("expected", f"to take at most {duration(needed)}"))
    return facts


def credential_json(credential: Mapping[str, Any]) -> dict[str, Any]:
    """Return a credential as JSON, without what is sealed: nobody needs it outside."""
    shown = ("rung", "cloud", "deadline", "why", "until", "needed", "following")
    return {name: credential[name] for name in shown if name in credential}


def countdown(operation: Operation, now: float) -> str:
    """Return what time is left: `, 1 h 2 min left on user + service token`; empty where nothing
    runs out."""
    deadline = operation.credential.get("deadline")
    if deadline is None or operation.state.over:
        return ""
    kind = operation.credential.get("rung", "")
    following = operation.credential.get("following") or ()
    then = f", then {following[0]['rung']}" if following else ""
    return f", {duration(max(0.0, deadline - now))} left on {kind}{then}"


def _until(deadline: float | None) -> str:
    if deadline is None:
        return "without an end"
    left = deadline - time.time()
    return f"until {moment(deadline)}" + (f" ({duration(left)} left)" if left > 0 else "")


expecting = click.option(
    "--hours", type=click.FloatRange(min=0, min_open=True), metavar="N",
    help="Expected duration; refused if none of your credentials lasts that long. Default: "
         "estimated.")


def seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * 3600
