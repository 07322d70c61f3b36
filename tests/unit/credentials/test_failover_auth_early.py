"""Work that a service does with our token begins with a token that outlasts it."""

from __future__ import annotations

import pytest

from karbor.credentials.failover_auth import EARLY_AGAIN_SECONDS
from karbor.domain.credential_chain import CredentialKind
from karbor.domain.errors import Cause, KeystoneUnreachable, TokenRejected
from tests.unit.credentials.test_failover_auth import World, token
from tests.unit.credentials.wire import Clock

LIFE = 20.0
WINDOW = 40.0       # a margin of 4 s: a fresh token is of use for 56 s


@pytest.fixture
def world(clock: Clock) -> World:
    return World(clock, life=LIFE)


def test_what_ends_before_its_token_changes_nothing(world: World) -> None:
    ladder = world.ladder(deadline=100.0, window=WINDOW)
    ladder.ensure(100.0)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert world.proved == world.renewed == []
    assert world.told == []


def test_what_would_outlast_the_token_is_begun_on_the_next_rung(world: World) -> None:
    ladder = world.ladder(deadline=100.0, window=WINDOW)
    world.clock.sleep(60)
    assert ladder.ensure(41.0) == world.clock() + LIFE
    assert token(ladder) == CredentialKind.TRUST
    [told] = world.told
    assert told == ("credential changed from user + service token to trust + service token: a "
                    "service was to be asked for work of up to 41 s, which the present one would "
                    "not outlast")


def test_a_login_of_ours_is_renewed_for_it_and_not_more_often_than_needed(world: World) -> None:
    ladder = world.ladder(deadline=0.0, window=WINDOW)
    token(ladder)
    ladder.ensure(50.0)
    assert world.renewed == []          # it has just logged in
    world.clock.sleep(5)
    assert ladder.ensure(50.0) == world.clock() + LIFE - 5
    assert world.renewed == []
    world.clock.sleep(2)
    assert ladder.ensure(50.0) == world.clock() + LIFE
    assert world.renewed == [CredentialKind.TRUST]


def test_the_longest_there_is_serves_where_none_lasts_so_long_and_that_is_told_once(
        world: World) -> None:
    ladder = world.ladder(deadline=100.0, window=WINDOW)
    for _ in range(2):
        ladder.ensure(5000.0)
        assert token(ladder) == CredentialKind.TRUST
    [told] = world.told[1:]
    assert told == ("no token lasts as long as a service's work may take (83 min): what it does "
                    "not end within 56 s may fail")


def test_a_change_that_is_refused_before_its_time_ends_nothing(world: World) -> None:
    world.refusing[CredentialKind.TRUST] = TokenRejected(
        "the trust was removed", cause=Cause.REMOVED
    )
    ladder = world.ladder(deadline=2000.0, window=WINDOW)
    for _ in range(3):
        ladder.ensure(3000.0)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
    assert ladder.ended is None
    assert world.proved == [CredentialKind.TRUST]
    assert world.told[0] == ("no change to trust + service token for now, which would outlast work "
                             "of up to 50 min: the trust was removed")
    world.clock.sleep(EARLY_AGAIN_SECONDS)
    ladder.ensure(3000.0)
    assert world.proved == [CredentialKind.TRUST, CredentialKind.TRUST]


def test_while_keystone_is_away_nothing_is_begun_that_would_outlast_its_token(
        world: World) -> None:
    world.refusing[CredentialKind.TRUST] = KeystoneUnreachable("nobody answers")
    ladder = world.ladder(deadline=100.0, window=WINDOW)
    with pytest.raises(KeystoneUnreachable):
        ladder.ensure(1000.0)
    ladder.ensure(50.0)
    assert token(ladder) == CredentialKind.USER_AND_SERVICE


def test_without_a_further_rung_the_token_has_to_do(world: World) -> None:
    ladder = world.ladder(deadline=100.0, trust=False, window=WINDOW)
    assert ladder.ensure(1000.0) == world.clock() + 100.0 - WINDOW + 4.0
    assert token(ladder) == CredentialKind.USER_AND_SERVICE
