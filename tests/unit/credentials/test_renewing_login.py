"""A login that stays good, asked for from many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from keystoneauth1 import exceptions as ksa
from keystoneauth1.access import AccessInfo, AccessInfoV3
from keystoneauth1.identity.base import BaseIdentityPlugin

from karbor.credentials.refusals import login_refused
from karbor.credentials.renewing_login import QUIET, RenewingLogin
from karbor.domain.errors import KeystoneUnreachable, LoginFailed
from tests.unit.credentials.wire import Clock

SESSION: Any = None     # the inner plugin of these tests asks nobody


class Inner(BaseIdentityPlugin):
    """Counts logins; `during` runs within each."""

    def __init__(self, clock: Clock, life: float = 3600.0, behind: float = 0.0) -> None:
        super().__init__(auth_url="http://k")
        self.clock, self.life, self.behind = clock, life, behind
        self.logins = 0
        self.during: Callable[[], None] = lambda: None
        self.failure: Exception | None = None

    def get_auth_ref(self, session: Any) -> AccessInfo:
        self.logins += 1
        self.during()
        if self.failure:
            raise self.failure
        now = self.clock() - self.behind
        return AccessInfoV3(auth_token=f"token-{self.logins}", body={"token": {
            "issued_at": datetime.fromtimestamp(now, UTC).isoformat(),
            "expires_at": datetime.fromtimestamp(now + self.life, UTC).isoformat()}})


def renewed(inner: Inner) -> RenewingLogin:
    return RenewingLogin(inner, clock=inner.clock, explain=lambda error: login_refused(
        error, who="demo", auth_url="http://k", remedy=""))


def test_fifty_threads_that_begin_together_log_in_once(clock: Clock) -> None:
    inner = Inner(clock)
    auth = renewed(inner)
    together = threading.Barrier(50)

    def begin(_: int) -> str:
        together.wait()
        return str(auth.get_access(SESSION).auth_token)

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(begin, range(50))) == {"token-1"}
    assert inner.logins == 1


def test_dropping_and_asking_from_fifty_threads_never_shows_a_missing_login(clock: Clock) -> None:
    inner = Inner(clock)
    auth = renewed(inner)
    together = threading.Barrier(50)

    def use(_: int) -> int:
        together.wait()
        for _turn in range(100):
            token = auth.get_access(SESSION).auth_token
            assert token is not None
            assert token.startswith("token-")
            auth.invalidate()
        return 1

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(use, range(50))) == 50
    # The clock stands still: one refusal may renew, all later ones come too soon.
    assert inner.logins == 2


def test_a_refused_token_that_was_renewed_meanwhile_is_not_dropped_again(clock: Clock) -> None:
    inner = Inner(clock)
    auth = renewed(inner)
    auth.get_access(SESSION)
    elsewhere = threading.Thread(target=lambda: (auth.get_access(SESSION), auth.invalidate(),
                                                 auth.get_access(SESSION)))
    elsewhere.start()
    elsewhere.join()
    assert inner.logins == 2
    assert auth.invalidate() is True        # this thread had sent token-1: worth another try
    assert auth.get_access(SESSION).auth_token == "token-2"
    assert inner.logins == 2


def test_a_new_token_that_is_refused_too_is_not_renewed_for_a_while(clock: Clock) -> None:
    inner = Inner(clock)
    auth = renewed(inner)
    auth.get_access(SESSION)
    assert auth.invalidate() is True
    auth.get_access(SESSION)
    assert auth.invalidate() is False
    clock.sleep(QUIET)
    auth.get_access(SESSION)
    assert auth.invalidate() is True


def test_a_refused_login_is_not_tried_again_by_every_thread(clock: Clock) -> None:
    inner = Inner(clock)
    inner.failure = ksa.Unauthorized("wrong")
    auth = renewed(inner)
    for _ in range(20):
        with pytest.raises(LoginFailed):
            auth.get_access(SESSION)
    assert inner.logins == 1
    clock.sleep(QUIET)
    inner.failure = None
    assert auth.get_access(SESSION).auth_token == "token-2"


@pytest.mark.parametrize(("life", "kept", "renewed_at"), [(15, 7, 8), (60, 29, 31),
                                                           (3600, 3479, 3481)])
def test_a_token_is_renewed_before_its_end_and_a_short_one_not_at_every_call(
        clock: Clock, life: float, kept: float, renewed_at: float) -> None:
    inner = Inner(clock, life)
    auth = renewed(inner)
    begun = clock.now
    auth.get_access(SESSION)
    clock.now = begun + kept
    assert auth.get_access(SESSION).auth_token == "token-1"
    clock.now = begun + renewed_at
    assert auth.get_access(SESSION).auth_token == "token-2"


@pytest.mark.parametrize("behind", [-3600.0, 3600.0])
def test_a_keystone_whose_clock_is_wrong_changes_nothing(clock: Clock, behind: float) -> None:
    inner = Inner(clock, life=600, behind=behind)
    auth = renewed(inner)
    auth.get_access(SESSION)
    clock.sleep(400)
    auth.get_access(SESSION)
    assert inner.logins == 1
    clock.sleep(100)
    auth.get_access(SESSION)
    assert inner.logins == 2


def test_while_one_thread_renews_the_others_go_on_with_the_token_that_still_lives(
        clock: Clock) -> None:
    inner = Inner(clock)
    auth = renewed(inner)
    auth.get_access(SESSION)
    clock.sleep(3600 - 100)
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        assert over.wait(30)

    inner.during = hold
    renewing = threading.Thread(target=auth.get_access, args=(SESSION,))
    renewing.start()
    assert inside.wait(30)
    assert auth.get_access(SESSION).auth_token == "token-1"
    over.set()
    renewing.join()
    assert auth.get_access(SESSION).auth_token == "token-2"
    assert inner.logins == 2


def test_keystone_being_away_does_no_harm_while_the_token_lives(clock: Clock) -> None:
    inner = Inner(clock)
    auth = renewed(inner)
    auth.get_access(SESSION)
    inner.failure = ksa.ConnectFailure("refused")
    clock.sleep(3600 - 100)
    assert auth.get_access(SESSION).auth_token == "token-1"
    clock.sleep(100)
    with pytest.raises(KeystoneUnreachable):
        auth.get_access(SESSION)
    inner.failure = None
    clock.sleep(2)
    assert auth.get_access(SESSION).auth_token != "token-1"
