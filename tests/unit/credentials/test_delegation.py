"""What a person at the command line passes on to an operation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from karbor.config import ConfigOpts
from karbor.credentials.authority import Authority
from karbor.credentials.credential import Credential
from karbor.credentials.delegation import Delegator
from karbor.domain.credential_chain import CredentialKind
from tests.unit.credentials.conftest import SERVICE_USER
from tests.unit.credentials.wire import KEYSTONE, Clock, Keystone, Reply, Sent, Wire

TRUSTS = "/v3/OS-TRUST/trusts"


@pytest.fixture
def authority(configured: Callable[[str], ConfigOpts], wire: Wire, keystone: Keystone,
              clock: Clock) -> Authority:
    keystone.catalog = [{"type": "identity", "name": "keystone", "id": "k", "endpoints": [
        {"interface": "public", "url": KEYSTONE, "region": "RegionOne", "region_id": "RegionOne",
         "id": "e"}]}]

    def answer(sent: Sent) -> Reply:
        if (sent.method, sent.path) != ("POST", TRUSTS):
            return keystone.answer(sent) or Reply(404)
        token = keystone.bodies[sent.headers["x-auth-token"]]["token"]
        if datetime.fromisoformat(token["expires_at"]).timestamp() <= clock.now:
            return Reply(401, json={"error": {"message": "The request you have made requires "
                                              "authentication.", "code": 401}})
        return Reply(201, json={"trust": {"id": "trust-1", **sent.json()["trust"]}})

    wire.answer = answer
    return Authority(configured(SERVICE_USER), adapter=wire, clock=clock)


@pytest.mark.parametrize("passed", [0, 7200])
def test_a_trust_is_made_on_a_live_login_however_long_it_took_to_find_out_what_to_protect(
        passed: int, authority: Authority, wire: Wire, clock: Clock) -> None:
    login = authority.represent("demo")
    delegator = Delegator(authority, login)
    chosen = delegator.choose(60.0)
    clock.sleep(passed)
    granted = Credential.from_dict(delegator.grant(chosen))
    assert granted.trust == "trust-1"
    assert [one.kind for one in granted.following] == [CredentialKind.TRUST]
    trust = wire.of("POST", TRUSTS)[0].json()["trust"]
    assert (trust["trustor_user_id"], trust["trustee_user_id"]) == ("id-demo", "id-karbor")
    # What the operation itself begins with is the token that it was chosen with.
    assert granted.sealed == login.credential.sealed


def test_a_trust_is_not_made_with_a_role_that_the_user_has_lost(
        authority: Authority, wire: Wire, keystone: Keystone, clock: Clock) -> None:
    delegator = Delegator(authority, authority.represent("demo"))
    chosen = delegator.choose(60.0)
    keystone.roles["demo"] = ["reader"]
    clock.sleep(7200)
    granted = Credential.from_dict(delegator.grant(chosen))
    assert (granted.trust, granted.following) == ("", ())
    assert wire.of("POST", TRUSTS) == []


@pytest.mark.parametrize(("longest", "spread"), [("", 86400), ("longest_operation = 7000\n", 1000)])
def test_the_ends_of_trusts_are_spread_over_a_day(
        *, longest: str, spread: int, configured: Callable[[str], ConfigOpts], wire: Wire,
        keystone: Keystone, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a seventh of the longest operation where that is shorter: decision 12 says so."""
    wire.answer = lambda sent: keystone.answer(sent) or Reply(404)
    authority = Authority(configured(f"{SERVICE_USER}\n[credentials]\n{longest}"), adapter=wire,
                          clock=clock)
    delegator = Delegator(authority, authority.represent("demo"))
    ends = []
    for draw in (min, max):
        monkeypatch.setattr("random.randrange", lambda stop, draw=draw: draw(0, stop - 1))
        grant = Credential.from_dict(delegator.choose(60.0)).grant
        assert grant is not None
        ends.append(datetime.fromisoformat(grant.expires_at).timestamp())
    assert ends[1] - ends[0] == spread
