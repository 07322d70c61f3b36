"""Which credentials carry an operation, and until when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from karbor.domain.caller import Caller
from karbor.domain.credential_chain import (
    Choice,
    CredentialKind,
    CredentialOption,
    CredentialPolicy,
    Strategy,
    choose,
    credential_options,
    margin,
)
from karbor.domain.errors import NoLastingCredential

NOW = 1_000_000.0
HOUR = 3600.0
DAY = 24 * HOUR
MEMBER = Caller("u", "p", roles=("member", "reader"), methods=("password",), expires_at=NOW + HOUR)
BY_APP = replace(MEMBER, methods=("application_credential",), application_credential_id="a1")


def chosen(caller: Caller, means: CredentialPolicy, needed: float = HOUR,
           strategy: Strategy = Strategy.AUTO) -> Choice:
    return choose(credential_options(caller, means, NOW), strategy, needed, NOW)


def by_rung(caller: Caller, means: CredentialPolicy) -> dict[CredentialKind, CredentialOption]:
    return {one.kind: one for one in credential_options(caller, means, NOW)}


def test_something_is_left_of_a_window_for_what_services_still_do() -> None:
    assert margin(172800) == 900
    assert margin(60) == 6
    token = by_rung(MEMBER, CredentialPolicy(window=60))[CredentialKind.USER_AND_SERVICE]
    assert (token.until, token.ends) == (NOW + HOUR + 54, NOW + HOUR + 60)


def test_a_password_login_gets_the_token_first_and_then_a_trust() -> None:
    choice = chosen(MEMBER, CredentialPolicy(longest=7 * DAY))
    assert [one.kind for one in choice.kinds] == [
        CredentialKind.USER_AND_SERVICE,
        CredentialKind.TRUST,
    ]
    assert choice.until == NOW + 7 * DAY - 900


def test_one_that_lasts_is_enough_and_the_trust_comes_first() -> None:
    both = CredentialPolicy(registered_until=float("inf"))
    assert [one.kind for one in chosen(MEMBER, both).kinds] == [
        CredentialKind.USER_AND_SERVICE,
        CredentialKind.TRUST,
    ]
    assert [one.kind for one in chosen(BY_APP, both).kinds] == [
        CredentialKind.USER_AND_SERVICE, CredentialKind.APPLICATION_CREDENTIAL]
    assert chosen(BY_APP, both).until is None


@pytest.mark.parametrize(("caller", "means", "said"), [
    (BY_APP, CredentialPolicy(), "CVE-2026-43000"),
    (replace(MEMBER, methods=("oauth1",)), CredentialPolicy(), "CVE-2026-43000"),
    (replace(MEMBER, trust_id="t1"), CredentialPolicy(), "cannot be passed on"),
    (replace(MEMBER, roles=("reader",)), CredentialPolicy(), "none of the roles"),
    (MEMBER, CredentialPolicy(trustee="[trustee] has no password"), "has no password"),
    (MEMBER, CredentialPolicy(service_user=False), r"no \[service_user\]"),
])
def test_why_there_is_no_trust(caller: Caller, means: CredentialPolicy, said: str) -> None:
    trust = by_rung(caller, means)[CredentialKind.TRUST]
    assert not trust.possible
    assert trust.remedy
    with pytest.raises(NoLastingCredential, match=said):
        chosen(caller, means, needed=100 * HOUR)


def test_without_a_lasting_rung_what_fits_is_accepted_and_what_does_not_is_refused() -> None:
    means = CredentialPolicy(window=2 * HOUR)
    fits = chosen(BY_APP, means, needed=2 * HOUR)
    assert [one.kind for one in fits.kinds] == [CredentialKind.USER_AND_SERVICE]
    assert {one.kind for one in fits.refused} == {
        CredentialKind.TRUST,
        CredentialKind.APPLICATION_CREDENTIAL,
    }
    with pytest.raises(NoLastingCredential) as caught:
        chosen(BY_APP, means, needed=4 * HOUR)
    for words in ("take 4.0 h", "has 2.8 h left", "no trust + service token",
                  "no application credential + service token: the user has registered no"):
        assert words in caught.value.message
    assert "karbor credential register" in caught.value.remedy
    assert "--hours" in caught.value.remedy


@pytest.mark.parametrize(("strategy", "kinds"), [
    (Strategy.TOKEN, [CredentialKind.USER_AND_SERVICE]),
    (Strategy.TRUST, [CredentialKind.TRUST]),
    (Strategy.APPLICATION_CREDENTIAL, [CredentialKind.APPLICATION_CREDENTIAL]),
    (Strategy.AUTO, [CredentialKind.USER_AND_SERVICE, CredentialKind.TRUST]),
])
def test_the_operator_decides(strategy: Strategy, kinds: list[CredentialKind]) -> None:
    means = CredentialPolicy(registered_until=NOW + 10 * DAY)
    assert [one.kind for one in chosen(MEMBER, means, HOUR, strategy).kinds] == kinds


def test_a_strategy_that_cannot_be_followed_says_which_and_why() -> None:
    with pytest.raises(NoLastingCredential, match="strategy = trust") as caught:
        chosen(BY_APP, CredentialPolicy(), HOUR, Strategy.TRUST)
    assert "application credential:" not in caught.value.message    # nobody asked for that one
    with pytest.raises(NoLastingCredential, match=r"take 60\.0 h"):
        chosen(MEMBER, CredentialPolicy(), 60 * HOUR, Strategy.TOKEN)


def test_a_registered_application_credential_ends_with_its_own_time() -> None:
    found = by_rung(BY_APP, CredentialPolicy(registered_until=NOW + DAY))[
        CredentialKind.APPLICATION_CREDENTIAL
    ]
    assert (found.until, found.ends) == (NOW + DAY - 900, NOW + DAY)
    gone = by_rung(BY_APP, CredentialPolicy(registered_until=NOW - 1))[
        CredentialKind.APPLICATION_CREDENTIAL
    ]
    assert (gone.possible, "expired" in gone.why) == (False, True)


def test_no_operation_outlasts_the_longest_one() -> None:
    with pytest.raises(NoLastingCredential):
        chosen(MEMBER, CredentialPolicy(window=HOUR, longest=DAY), needed=DAY)
