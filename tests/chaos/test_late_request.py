"""A request whose sender was killed is carried out by the service after the next process has looked
for its result and has asked for the thing itself: one of the two goes.

(A second backup of a snapshot, and a second image of a server, are refused by Cinder and Nova.)
"""

from __future__ import annotations

import pytest

from tests.chaos.scene import Scene, remaining
from tests.chaos.verbs import Protect, Restore, Verb

LONGEST_SECONDS = 20.0      # until the request is carried out when nobody sends another one


@pytest.mark.parametrize(("verb", "signature", "kind"), [
    (Protect(), "POST /volume/v3/snapshots", "cinder.snapshot"),
    (Restore(), "POST /volume/v3/volumes", "cinder.volume"),
], ids=lambda value: value if isinstance(value, str) else type(value).__name__.lower())
def test_of_two_that_were_made_one_goes(scene: Scene, verb: Verb, signature: str, kind: str
                                        ) -> None:
    home, double = scene.home, scene.double
    home.bring_back(verb.start)
    start, mark = remaining(double), len(double.ledger())
    argv = verb.begin(scene)
    newest = home.newest()

    def arm(pid: int) -> None:
        double.fault("kill-overtaken", pid=pid, signature=signature, seconds=LONGEST_SECONDS)

    assert home.karbor(*argv, before=arm).killed
    ended = verb.finish(scene, argv, newest[0] if newest else None)
    assert [fault["fired"] for fault in double.faults()] == [1]
    verb.twice = kind
    verb.check(scene, ended, start, mark)
