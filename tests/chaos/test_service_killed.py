"""The service is killed again and again; whatever it has accepted comes to its end, once."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from karbor.domain.operation import OperationState, Verb
from tests.chaos.scene import remaining, trusts
from tests.chaos.service_site import API, SERVE, Customer, Site

if TYPE_CHECKING:
    from tests.postgresql import Server

SEED = int(os.environ.get("KARBOR_KILL_SEED", "20"))
KILLS = int(os.environ.get("KARBOR_KILLS", "20"))
LONGEST_LIFE_SECONDS = 1.0      # of a process under load, before it is killed
AT_ONCE = 6     # operations that are not over when a process is killed, where the machine allows it


def living(site: Site) -> int:
    """Return how many operations are not over."""
    return sum(not operation.state.over for operation in site.operations())


def test_twenty_kills_under_load_lose_nothing_and_leave_nothing(
        site: Site, request: pytest.FixtureRequest) -> None:
    """Of API and workers; on PostgreSQL the sessions of their locks are ended, and the server
    itself is killed once."""
    chance = random.Random(SEED)
    for role in site.roles:
        site.start(role)
    customers = [Customer(site, "demo", 4), Customer(site, "demo2", 2)]
    for one in customers:
        one.plan()
    start = remaining(site.double)
    accepted: set[str] = set()
    interrupted = 0
    for number in range(KILLS):
        # Where workers get more of the processor than the API, operations end as quickly as they
        # are accepted: what is posted before each kill is therefore a number, not a level.
        for _ in range(AT_ONCE - living(site)):
            made = chance.choice(customers).protect(chance.randrange(4))
            accepted |= {made} if made else set()
        interrupted += living(site) > 0
        time.sleep(chance.uniform(0.0, LONGEST_LIFE_SECONDS))   # when it hits is what is tried
        victim = chance.choice(site.roles)
        site.kill(victim)
        if number == KILLS // 2 and victim is not SERVE:
            server: Server = request.getfixturevalue("postgresql")
            server.stop()
            server.start()
        elif number % 4 == 3 and victim is not SERVE:
            site.lose_locks()
            made = chance.choice(customers).protect(0) if victim is not API else None
            accepted |= {made} if made else set()
        site.start(victim)
    site.until(site.all_over, "the end of all operations")
    operations = site.operations()
    assert {one.state for one in operations} == {OperationState.DONE}
    assert {one.checkpoint_id for one in operations} >= accepted
    assert len(accepted) >= KILLS // 2
    assert interrupted >= KILLS // 2

    for one in customers:
        site.until(lambda one=one: "protecting" not in one.checkpoints().values())
        for checkpoint in one.checkpoints():
            one.delete(checkpoint)
    site.until(site.all_over, "the end of all deletions")
    site.until(lambda: not trusts(site.double), "the end of all trusts")
    site.until(lambda: not site.driven(site.operations()), "the end of all locks")
    assert {one.state for one in site.operations()} == {OperationState.DONE}
    assert sum(one.verb is Verb.DELETE for one in site.operations()) >= len(accepted)
    assert site.standing_trusts() == 0
    left = remaining(site.double)
    left.pop("swift.container", None)       # Cinder makes it and leaves it
    assert {kind: count for kind, count in left.items() if count} == {
        kind: count for kind, count in start.items() if count}, (
            f"{site.double.dump().get('cinder.backup')}\n{site.log()[-200000:]}")
    for one in customers:
        one.close()
    for role in site.roles:
        site.end(role)
