"""The service dies at each write to its database; whatever it has accepted comes to its end."""

from __future__ import annotations

from karbor.domain.operation import OperationState
from karbor.worker.queue_poller import GRACE
from tests.chaos.scene import trusts
from tests.chaos.service_site import PATIENCE_SECONDS, SERVE, Customer, Site

LEAST_WRITES = 12       # of a process that drives a protect of one volume


def test_killed_at_each_write_to_the_journal_it_loses_nothing(site: Site) -> None:
    """A process dies at its first write, one at its second, and so on: accepting, beginning, each
    step, the end of the operation and of its trust. The next one does the rest. Beside SQLite it
    dies before the COMMIT, on PostgreSQL behind it."""
    side = "before" if SERVE in site.roles else "after"
    *others, victim = site.roles[:2]
    for role in others:
        site.start(role)
    customer = Customer(site, "demo", 1)
    write, died = 0, True
    while died:
        write += 1
        site.start(victim, {"write": write, "side": side})
        if write == 1:
            customer.plan()
        before = len(site.operations())
        customer.protect(0)
        site.until(lambda: site.has_died(victim) or settled(site), f"the death at write {write}")
        died = victim.name not in site.running
        if died:
            site.start(victim)
            if len(site.operations()) == before:    # not accepted: it is asked for again
                assert customer.protect(0) is not None
            site.until(lambda: settled(site), f"the end of what died at write {write}")
            site.kill(victim)
    assert write > LEAST_WRITES
    assert {one.state for one in site.operations()} == {OperationState.DONE}
    assert len(site.operations()) >= write
    made = {one.checkpoint_id for one in site.operations()}
    # A record without an operation is that of a request that was never answered: whoever accepts
    # one may take a while to write its operation down.
    site.until(lambda: all(status == ("available" if one in made else "error")
                           for one, status in customer.checkpoints().items()), "settled records",
               PATIENCE_SECONDS + 2 * GRACE)
    assert len(site.double.dump()["cinder.backup"]) == len(site.operations())
    assert "cinder.snapshot" not in site.double.dump()
    customer.close()


def settled(site: Site) -> bool:
    return site.all_over() and not trusts(site.double) and not site.standing_trusts()
