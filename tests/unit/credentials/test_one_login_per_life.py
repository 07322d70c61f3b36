"""However many users a process speaks for: its service account logs in once per token life."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime

import pytest

from karbor.config import ConfigOpts
from karbor.credentials.renewing_login import MARGIN
from karbor.credentials.service_auth import ServiceAuth
from karbor.credentials.service_token_auth import ServiceTokenAuth
from karbor.credentials.session import open_session
from karbor.credentials.user_auth import user_auth
from tests.unit.credentials.conftest import SERVICE_USER
from tests.unit.credentials.test_user import BODY
from tests.unit.credentials.wire import Clock, Keystone, Reply, Sent, Wire

LIVES = 5
URL = "http://cinder.test/v3/volumes"


def due(life: float) -> float:
    """The old token lives yet: who does not renew goes on with it."""
    return life - MARGIN + 1


def over(life: float) -> float:
    """Nobody asked for a long time: everybody has to wait for the new one."""
    return life + 1


@pytest.mark.parametrize("pause", [due, over])
@pytest.mark.parametrize("users", [1, 50, 500])
def test_one_login_per_life(*, configured: Callable[[str], ConfigOpts], wire: Wire,
                            keystone: Keystone, clock: Clock, users: int,
                            pause: Callable[[float], float]) -> None:
    keystone.life = 300.0
    dead: list[Sent] = []
    bare: list[Sent] = []

    def answer(sent: Sent) -> Reply:
        given = keystone.answer(sent)
        if given is not None:
            return given
        body = keystone.bodies.get(sent.headers.get("x-service-token", ""))
        if body is None:
            bare.append(sent)
        elif datetime.fromisoformat(body["token"]["expires_at"]).timestamp() <= clock.now:
            dead.append(sent)
        return Reply(200, json={"volumes": []})

    wire.answer = answer
    conf = configured(SERVICE_USER)
    service = ServiceAuth(conf, wire)
    service._clock = clock
    together = threading.Barrier(users)

    def use(number: int) -> None:
        auth = ServiceTokenAuth(user_auth(f"token-of-user-{number}", BODY), service)
        with closing(open_session(conf, auth, adapter=wire)) as session:
            for life in range(LIVES):
                if together.wait() == 0 and life:
                    clock.sleep(pause(keystone.life))
                together.wait()
                session.get(URL)

    with ThreadPoolExecutor(users) as pool:
        list(pool.map(use, range(users)))

    asked = wire.of("GET", "/v3/volumes")
    assert len(asked) == users * LIVES
    assert {one.headers["x-auth-token"] for one in asked} == {
        f"token-of-user-{number}" for number in range(users)}
    assert keystone.logins == LIVES
    assert len(wire.of("GET", "/v3")) <= 1      # what Keystone can do is asked once at most
    assert len({one.headers["x-service-token"] for one in asked}) == LIVES
    assert (bare, dead) == ([], [])
