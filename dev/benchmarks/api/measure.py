"""Requests to hot routes, in turns with one to a bare application."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dev.benchmarks.api.server import Served, fill, plan, served
from dev.benchmarks.credentials.blocks import in_turns
from karbor.providers import builtin

CHECKPOINTS = f"/providers/{builtin.ID}/checkpoints"
PAGE = 100


def measure(place: Path, *, times: int, rounds: int, checkpoints: int, resources: int
            ) -> dict[str, Any]:
    """`routes`: CPU per request, and the ratio to the bare application. `single`: seconds on the
    clock of what is done once."""
    place.mkdir(parents=True, exist_ok=True)
    with served(place) as here:
        small = plan(here, 3)
        for _ in range(PAGE - 1):
            plan(here, 3)
        client, app = here.client, here.karbor
        client.ask(app, "GET", CHECKPOINTS)     # the bank has been looked into
        ways: dict[str, Callable[[], object]] = {
            "a bare application": partial(client.ask, here.bare, "GET", "/"),
            "show a plan": partial(client.ask, app, "GET", f"/plans/{small['id']}"),
            f"list {PAGE} plans": partial(client.ask, app, "GET", f"/plans?limit={PAGE}"),
            "list quotas": partial(client.ask, app, "GET", f"/quotas/{client.project}"),
        }
        routes = [one.to_dict() for one in in_turns(ways, times=times, rounds=rounds)]
        return {"times": times, "rounds": rounds, "routes": routes,
                "checkpoints": checkpoints, "resources": resources,
                "single": _single(here, checkpoints, resources)}


def _single(here: Served, checkpoints: int, resources: int) -> dict[str, float]:
    client, app, told = here.client, here.karbor, {}
    told[f"create a plan of {resources} resources"], large = _timed(lambda: plan(here, resources))
    told["show it"], _ = _timed(lambda: client.ask(app, "GET", f"/plans/{large['id']}"))
    told["accept a checkpoint of it"], _ = _timed(lambda: client.ask(
        app, "POST", CHECKPOINTS, {"checkpoint": {"plan_id": large["id"]}}))
    client.ask(app, "GET", CHECKPOINTS)     # or the bank, which has none of these, takes them away
    fill(here, checkpoints)
    told[f"list {checkpoints} checkpoints, {PAGE} a page"], count = _timed(lambda: _pages(here))
    if count < checkpoints:
        raise RuntimeError(f"of {checkpoints} checkpoints {count} were listed")
    return told


def _pages(here: Served) -> int:
    count, marker = 0, ""
    while True:
        answer = here.client.ask(here.karbor, "GET", f"{CHECKPOINTS}?limit={PAGE}{marker}")
        count += len(answer["checkpoints"])
        if "checkpoints_links" not in answer:       # a page of large ones is shorter, and says so
            return count
        marker = f"&marker={answer['checkpoints'][-1]['id']}"


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    found = call()
    return time.perf_counter() - begin, found
