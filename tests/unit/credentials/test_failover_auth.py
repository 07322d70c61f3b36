"""Changing the credential in mid-flight: when, how often, and what is told of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from keystoneauth1.plugin import BaseAuthPlugin

from karbor import config
from karbor.credentials import failover_auth as module
from karbor.credentials.active_credential import ActiveCredential
from karbor.credentials.credential import Credential
from karbor.credentials.failover_auth import (
    CHANGE_AGAIN_SECONDS,
    DOUBT_QUIET_SECONDS,
    FRESH_SECONDS,
    FailoverAuth,
)
from karbor.credentials.session import open_session
from karbor.domain.credential_chain import CredentialKind, CredentialOption, margin
from karbor.domain.errors import (
    Cause,
    CredentialError,
    KeystoneUnreachable,
    TokenRejected,
    TokenUnsettled,
)
from tests.unit.credentials.wire import Clock, Reply, Sent, Wire

DEAD = TokenRejected("the user's token was revoked", cause=Cause.REVOKED)
Configured = Callable[[str], config.ConfigOpts]


class Auth(BaseAuthPlugin):
    """Sends the name of its rung as the token."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.invalidated = 0

    def get_token(self, session: Any) -> str:
        return self.name

    def get_headers(self, session: Any) -> dict[str, str]:
        return {"X-Auth-Token": self.name, "X-Service-Token": "karbor's"}

    def invalidate(self) -> bool:
        self.invalidated += 1
        return False


@dataclass
class World:
    """What Keystone thinks of each rung's login, and what the operation has told."""

    clock: Clock
    refusing: dict[CredentialKind, CredentialError] = field(default_factory=dict)
    dead: dict[CredentialKind, TokenRejected] = field(default_factory=dict)
    over: dict[CredentialKind, TokenRejected] = field(default_factory=dict)
    proved: list[CredentialKind] = field(default_factory=list)
    examined: list[CredentialKind] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    renewed: list[CredentialKind] = field(default_factory=list)
    patience: float = 0.0
    life: float = 3600.0                # of the tokens of a login that renews itself

    def build(self, credential: Credential) -> ActiveCredential:
        kind = credential.kind
        if kind in self.over:
            raise self.over[kind]

        ends = [credential.token_ends]

        def log_in() -> None:
            if kind in self.refusing:
                raise self.refusing[kind]
            ends[0] = self.clock() + self.life

        def prove() -> None:
            self.proved.append(kind)
            log_in()

        def renew() -> None:
            if kind is not CredentialKind.USER_AND_SERVICE:
                self.renewed.append(kind)
                log_in()

        def examine() -> TokenRejected | None:
            self.examined.append(kind)
            return self.dead.get(kind)

        return ActiveCredential(Auth(kind.value), prove, examine,    # type: ignore[arg-type]
                                lambda: ends[0], renew)

    def ladder(self, *, deadline: float = 100.0, trust: bool = True, window: float = 0.0,
               refused_since: float | None = None) -> FailoverAuth:
        now = self.clock()
        following = (
            (CredentialOption(CredentialKind.TRUST, True, "granted", now + 10_000.0),)
            if trust
            else ()
        )
        credential = Credential(CredentialKind.USER_AND_SERVICE, "demo", "u", "p", "vouched for",
                                deadline=now + deadline, following=following, window=window,
                                token_ends=now + deadline - window + margin(window),
                                refused_since=refused_since)
        return FailoverAuth(credential, self.build, lambda _credential, why: self.told.append(why),
                            self.clock, self.patience)


@pytest.fixture
def world(clock: Clock) -> World:
    return World(clock)


def token(ladder: FailoverAuth) -> str:
    return (ladder.get_headers(None) or {})["X-Auth-Token"]     # type: ignore[arg-type]


def test_it_changes_once_at_the_deadline_for_all_threads(world: World) -> None:
    ladder = world.ladder()
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    world.clock.sleep(100)
    barrier = threading.Barrier(20)

    def ask() -> str:
        barrier.wait()
        return token(ladder)
    with ThreadPoolExecutor(20) as pool:
        assert {future.result() for future in [pool.submit(ask) for _ in range(20)]
                } <= {CredentialKind.TRUST.value, CredentialKind.USER_AND_SERVICE.value}
    assert token(ladder) == CredentialKind.TRUST
    assert world.proved == [CredentialKind.TRUST]
    assert len(world.told) == 1
    assert ladder.ended is None


def test_while_keystone_is_away_it_stays_and_tries_again(world: World) -> None:
    world.refusing[CredentialKind.TRUST] = KeystoneUnreachable("nobody answers")
    ladder = world.ladder()
    world.clock.sleep(100)
    for _ in range(5):
        assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert len(world.proved) == 1
    del world.refusing[CredentialKind.TRUST]
    world.clock.sleep(CHANGE_AGAIN_SECONDS)
    assert token(ladder) == CredentialKind.TRUST


def test_a_trust_that_was_taken_back_ends_the_operation_and_leaves_the_token_for_cleaning_up(
        world: World) -> None:
    gone = TokenRejected("the trust was removed", cause=Cause.REMOVED)
    world.refusing[CredentialKind.TRUST] = gone
    ladder = world.ladder()
    world.clock.sleep(100)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert ladder.ended is gone
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert world.proved == [CredentialKind.TRUST]


def test_a_confirmed_refusal_changes_at_once(world: World) -> None:
    ladder = world.ladder()
    token(ladder)
    world.dead[CredentialKind.USER_AND_SERVICE] = DEAD
    assert ladder.invalidate() is True
    assert token(ladder) == CredentialKind.TRUST
    [told] = world.told
    assert told == ("credential changed from user + service token to trust + service token: the "
                    "user's token was revoked")


def test_a_refusal_that_keystone_does_not_confirm_changes_nothing_and_is_asked_about_once(
        world: World) -> None:
    ladder = world.ladder()
    for _ in range(10):
        token(ladder)
        assert ladder.invalidate() is False
    assert world.examined == [CredentialKind.USER_AND_SERVICE]
    world.clock.sleep(DOUBT_QUIET_SECONDS)
    ladder.invalidate()
    assert len(world.examined) == 2
    assert world.told == []


def test_what_was_over_before_it_began_is_left_for_what_was_to_follow(world: World) -> None:
    world.over[CredentialKind.USER_AND_SERVICE] = DEAD
    ladder = world.ladder()
    assert world.proved == [CredentialKind.TRUST]
    assert token(ladder) == CredentialKind.TRUST
    [told] = world.told
    assert told.endswith("to trust + service token: the user's token was revoked")
    with pytest.raises(TokenRejected, match="was revoked"):
        world.ladder(trust=False)


@pytest.mark.parametrize("refusal", [KeystoneUnreachable("nobody answers"),
                                     TokenRejected("the trust was removed", cause=Cause.REMOVED)])
def test_nothing_to_begin_with_is_told_with_what_the_next_rung_was_refused_for(
        world: World, refusal: CredentialError) -> None:
    world.over[CredentialKind.USER_AND_SERVICE] = DEAD
    world.refusing[CredentialKind.TRUST] = refusal
    with pytest.raises(type(refusal), match=refusal.message):
        world.ladder()
    assert world.told == []


def test_without_another_rung_the_cause_is_raised_from_then_on(world: World) -> None:
    ladder = world.ladder(trust=False)
    token(ladder)
    world.dead[CredentialKind.USER_AND_SERVICE] = DEAD
    for _ in range(2):
        with pytest.raises(TokenRejected, match="was revoked"):
            ladder.invalidate()
    with pytest.raises(TokenRejected, match="was revoked"):
        token(ladder)
    assert ladder.ended is DEAD


def test_the_cause_is_what_the_next_rung_was_refused_for(world: World) -> None:
    world.dead[CredentialKind.USER_AND_SERVICE] = DEAD
    world.refusing[CredentialKind.TRUST] = TokenRejected(
        "the user was disabled", cause=Cause.USER_DISABLED
    )
    ladder = world.ladder()
    token(ladder)
    with pytest.raises(TokenRejected, match="user was disabled"):
        ladder.invalidate()


def test_a_token_made_in_the_second_of_a_revocation_may_be_refused_for_a_moment(
        world: World) -> None:
    world.dead[CredentialKind.USER_AND_SERVICE] = DEAD
    ladder = world.ladder()
    token(ladder)
    ladder.invalidate()
    with pytest.raises(TokenUnsettled) as caught:
        ladder.doubt()
    assert caught.value.transient
    world.clock.sleep(FRESH_SECONDS)
    ladder.doubt()


def test_the_last_deadline_ends_the_operation_and_not_its_requests(world: World) -> None:
    ladder = world.ladder(trust=False)
    assert ladder.ended is None
    world.clock.sleep(100)
    assert "is over" in str(ladder.ended)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE


def test_a_login_that_is_not_renewed_any_more_ends_the_operation(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = world.ladder()
    gone = TokenRejected("the trust was removed", cause=Cause.REMOVED)

    def refuse(*_arguments: Any) -> None:
        raise gone
    monkeypatch.setattr(Auth, "get_headers", refuse)
    with pytest.raises(TokenRejected):
        token(ladder)
    assert ladder.ended is gone


@pytest.mark.parametrize("status", [401, 503])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_request_raises_the_cause_and_is_sent_again_only_with_another_token(
        *, world: World, configured: Configured, status: int, stream: bool) -> None:
    sent: list[str] = []

    def answer(one: Sent) -> Reply:
        sent.append(one.headers["x-auth-token"])
        good = one.headers["x-auth-token"] == CredentialKind.TRUST
        return Reply(200 if good else status)
    ladder = world.ladder()
    session = open_session(configured(""), ladder, adapter=Wire(answer))
    world.dead[CredentialKind.USER_AND_SERVICE] = DEAD

    def put() -> int:
        body = iter([b"x"]) if stream else b"x"
        return int(session.put("http://glance.test/", data=body, raise_exc=False).status_code)
    first = put()
    if status == 401 and not stream:
        assert first == 200         # sent again by itself
    else:
        assert (first, put()) == (status, 200)
    assert sent == [CredentialKind.USER_AND_SERVICE, CredentialKind.TRUST]

    world.dead[CredentialKind.TRUST] = TokenRejected("the trust was removed", cause=Cause.REMOVED)
    world.clock.sleep(module.DOUBT_QUIET_SECONDS)
    session.transport.adapter.answer = lambda _one: Reply(status)   # type: ignore[union-attr]
    with pytest.raises(TokenRejected, match="trust was removed"):
        put()


def test_a_request_under_way_when_the_deadline_comes_is_overtaken_and_no_other(
        world: World, configured: Configured) -> None:
    ladder = world.ladder()
    session = open_session(configured(""), ladder)
    overtaken = session.watch()
    world.clock.sleep(99)
    assert not overtaken()
    world.clock.sleep(2)
    assert overtaken()
    assert token(ladder) == CredentialKind.TRUST
    assert overtaken()              # also when another thread has changed it meanwhile
    again = session.watch()
    world.clock.sleep(20_000)
    assert not again()              # nothing follows a trust


@pytest.mark.parametrize("refused", [False, True])
def test_where_nothing_follows_no_request_is_overtaken(world: World, refused: bool) -> None:
    ladder = world.ladder(trust=refused)
    if refused:
        world.refusing[CredentialKind.TRUST] = TokenRejected(
            "the trust was removed", cause=Cause.REMOVED
        )
    overtaken = ladder.watch()
    world.clock.sleep(100)
    token(ladder)
    assert not overtaken()


def test_a_login_that_never_changes_is_never_overtaken(configured: Configured) -> None:
    assert not open_session(configured(""), Auth("own")).watch()()
