"""A refusal that may pass is waited out: for how long, who hears of it, and what ends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from karbor.credentials.credential import Credential
from karbor.credentials.failover_auth import DOUBT_QUIET_SECONDS, LOOK_AGAIN_SECONDS, FailoverAuth
from karbor.domain.credential_chain import CredentialKind
from karbor.domain.errors import (
    Cause,
    CredentialError,
    CredentialSuspended,
    ServiceUserUnfit,
    TokenRejected,
)
from tests.unit.credentials.test_failover_auth import World, token
from tests.unit.credentials.wire import Clock

PATIENCE = 600.0
DISABLED = TokenRejected("the project was disabled", cause=Cause.PROJECT_DISABLED)
PASSING = [DISABLED, TokenRejected("a role was lost", cause=Cause.ROLE_LOST),
           TokenRejected("the user was disabled", cause=Cause.USER_DISABLED),
           TokenRejected("Keystone does not say", cause=Cause.REFUSED)]
FINAL = [TokenRejected("gone", cause=one) for one in (
    Cause.REMOVED, Cause.REVOKED, Cause.OVER, Cause.KEY_GONE, Cause.UNKNOWN)]


@pytest.fixture
def world(clock: Clock) -> World:
    found = World(clock)
    found.patience = PATIENCE
    return found


def refused(ladder: FailoverAuth) -> CredentialError:
    """What a request is told that a service has refused."""
    token(ladder)
    with pytest.raises(CredentialError) as caught:
        ladder.invalidate()
    return caught.value


@pytest.mark.parametrize("cause", PASSING, ids=lambda one: one.cause.value)
def test_what_may_pass_holds_requests_back_until_it_works_again(
        world: World, cause: TokenRejected) -> None:
    ladder = world.ladder(trust=False, deadline=10_000)
    world.dead[CredentialKind.USER_AND_SERVICE] = cause
    told = refused(ladder)
    assert isinstance(told, CredentialSuspended)
    assert told.transient
    assert cause.message in told.message
    assert ladder.ended is None
    assert ladder.credential.refused_since == world.clock()
    assert world.told == [f"waits, at most until 2027-01-15 08:10:00 UTC: {cause.message}"]
    world.clock.sleep(60)
    with pytest.raises(CredentialSuspended, match="since 2027-01-15 08:00:00 UTC"):
        token(ladder)
    assert len(world.told) == 1

    del world.dead[CredentialKind.USER_AND_SERVICE]
    world.clock.sleep(LOOK_AGAIN_SECONDS)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert ladder.credential.refused_since is None
    assert world.told[1:] == [
        "Keystone accepts what the operation runs on again, after 65 s: it goes on"]
    assert ladder.ended is None


@pytest.mark.parametrize("cause", FINAL, ids=lambda one: one.cause.value)
def test_what_is_final_is_not_waited_for(world: World, cause: TokenRejected) -> None:
    ladder = world.ladder(trust=False, deadline=10_000)
    world.dead[CredentialKind.USER_AND_SERVICE] = cause
    assert refused(ladder) is cause
    assert ladder.ended is cause


def test_keystone_is_asked_now_and_then_only(world: World) -> None:
    ladder = world.ladder(trust=False, deadline=10_000)
    world.dead[CredentialKind.USER_AND_SERVICE] = DISABLED
    refused(ladder)
    asked = len(world.examined)
    for _ in range(20):
        with pytest.raises(CredentialSuspended):
            token(ladder)
    assert len(world.examined) == asked
    world.clock.sleep(LOOK_AGAIN_SECONDS)
    for _ in range(20):
        with pytest.raises(CredentialSuspended):
            token(ladder)
    assert len(world.examined) == asked + 1


def test_the_wait_ends_with_the_cause(world: World) -> None:
    ladder = world.ladder(trust=False, deadline=10_000)
    world.dead[CredentialKind.USER_AND_SERVICE] = DISABLED
    refused(ladder)
    world.clock.sleep(PATIENCE)
    ended = ladder.ended        # nobody has to send a request for that
    assert isinstance(ended, TokenRejected)
    assert ended.message == ("the project was disabled; it did not work again within 10 min")
    assert ended.cause is Cause.PROJECT_DISABLED
    with pytest.raises(TokenRejected, match="did not work again"):
        token(ladder)


def test_an_operator_may_want_no_waiting(world: World) -> None:
    world.patience = 0.0
    ladder = world.ladder(trust=False)
    world.dead[CredentialKind.USER_AND_SERVICE] = DISABLED
    assert refused(ladder) is DISABLED
    assert ladder.ended is DISABLED


def test_a_revoked_token_waits_for_its_trust_whose_user_is_disabled(world: World) -> None:
    ladder = world.ladder(deadline=10_000)
    world.dead[CredentialKind.USER_AND_SERVICE] = TokenRejected("revoked", cause=Cause.REVOKED)
    world.refusing[CredentialKind.TRUST] = PASSING[2]
    assert isinstance(refused(ladder), CredentialSuspended)
    world.clock.sleep(LOOK_AGAIN_SECONDS)
    with pytest.raises(CredentialSuspended, match="the user was disabled"):
        token(ladder)
    del world.refusing[CredentialKind.TRUST]
    world.clock.sleep(LOOK_AGAIN_SECONDS)
    assert token(ladder) == CredentialKind.TRUST
    assert "credential changed from" in world.told[-2]
    assert ladder.credential.refused_since is None


def test_a_removed_trust_does_not_end_what_waits_for_its_project(world: World) -> None:
    ladder = world.ladder(deadline=10_000)
    world.dead[CredentialKind.USER_AND_SERVICE] = DISABLED
    world.refusing[CredentialKind.TRUST] = TokenRejected("removed", cause=Cause.REMOVED)
    assert isinstance(refused(ladder), CredentialSuspended)
    del world.dead[CredentialKind.USER_AND_SERVICE]
    world.clock.sleep(LOOK_AGAIN_SECONDS)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE


def test_an_account_of_karbor_that_is_refused_is_waited_for(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = world.ladder(deadline=10_000)
    unfit = ServiceUserUnfit("the login of [service_user] was refused")

    def refuse(*_arguments: object) -> None:
        raise unfit
    with monkeypatch.context() as patch:
        patch.setattr("tests.unit.credentials.test_failover_auth.Auth.get_headers", refuse)
        with pytest.raises(CredentialSuspended, match=r"\[service_user\] was refused"):
            token(ladder)
    world.clock.sleep(LOOK_AGAIN_SECONDS)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE


@pytest.mark.parametrize("since", [0.0, -PATIENCE])
def test_another_process_goes_on_waiting_and_not_from_the_beginning(
        world: World, since: float) -> None:
    world.dead[CredentialKind.USER_AND_SERVICE] = DISABLED
    began = world.clock() + since
    ladder = world.ladder(trust=False, deadline=10_000, refused_since=began)
    wanted: type[CredentialError] = TokenRejected if since else CredentialSuspended
    with pytest.raises(wanted):
        token(ladder)


def test_another_process_goes_on_when_it_works_again(world: World) -> None:
    ladder = world.ladder(refused_since=world.clock())
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert ladder.credential.refused_since is None
    [told] = world.told
    assert told.endswith("it goes on")


def test_one_that_is_refused_at_its_beginning_waits_too(world: World) -> None:
    world.over[CredentialKind.USER_AND_SERVICE] = DISABLED
    ladder = world.ladder(trust=False, deadline=10_000)
    with pytest.raises(CredentialSuspended):
        token(ladder)
    del world.over[CredentialKind.USER_AND_SERVICE]
    world.clock.sleep(LOOK_AGAIN_SECONDS)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE


def test_a_change_that_is_refused_for_now_leaves_time_for_cleaning_up(world: World) -> None:
    """The present token is good until its very end, of which the margin is left at the deadline."""
    world.refusing[CredentialKind.TRUST] = PASSING[1]
    ladder = world.ladder(deadline=100.0, window=400.0)     # a margin of 40 s
    world.clock.sleep(100)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert ladder.ended is None
    [told] = world.told
    assert told == ("the change to trust + service token is refused for now: a role was lost; it "
                    "is tried again until 2027-01-15 08:02:00 UTC")
    world.clock.sleep(10)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert ladder.ended is None
    world.clock.sleep(10)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert ladder.ended is PASSING[1]
    assert token(ladder) == CredentialKind.USER_AND_SERVICE


def test_a_change_that_was_refused_for_a_moment_is_made_later(world: World) -> None:
    world.refusing[CredentialKind.TRUST] = PASSING[1]
    ladder = world.ladder(deadline=100.0, window=400.0)
    world.clock.sleep(100)
    token(ladder)
    del world.refusing[CredentialKind.TRUST]
    world.clock.sleep(10)
    assert token(ladder) == CredentialKind.TRUST
    world.clock.sleep(1000)
    assert ladder.ended is None


def test_a_registered_wait_survives_the_journal() -> None:
    kept = Credential(CredentialKind.TRUST, "demo", "u", "p", "granted", refused_since=17.5)
    assert Credential.from_dict(kept.to_dict()) == kept
    assert Credential.from_dict({**kept.to_dict(), "refused_since": None}).refused_since is None


def test_other_threads_hear_the_same(world: World) -> None:
    ladder = world.ladder(trust=False, deadline=10_000)
    overtaken: Callable[[], bool] = ladder.watch()
    world.dead[CredentialKind.USER_AND_SERVICE] = DISABLED
    refused(ladder)
    world.clock.sleep(DOUBT_QUIET_SECONDS)
    with pytest.raises(CredentialSuspended):
        ladder.doubt()
    assert not overtaken()
