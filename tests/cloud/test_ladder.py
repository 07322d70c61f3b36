"""Operations change their credential in mid-flight, and end when it is taken back.

Keystone gives tokens of 12 s here, and lets services use them for 12 s more. Nothing is done by
these operations but requests: what counts is which token goes out, and what becomes of it.

Most of it is waiting for tokens to end. So all scenes are played at the same time, each with a user
and project of its own, and each test tells how one of them went.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import pytest
from cinderclient.client import Client

from karbor.credentials.delegation import Delegator
from karbor.credentials.registration import Registrar
from karbor.credentials.trustee import keystone_time
from karbor.domain.credential_chain import CredentialKind
from karbor.domain.errors import Cause, NoLastingCredential, TokenRejected
from tests.cloud.conftest import Cloud
from tests.cloud.scenes import (
    Play,
    Scene,
    begin,
    playing,
    settled,
    speaks,
    token,
    until,
    until_refused,
)

LIFE = 12
WINDOW = 12
CONF = f"[credentials]\nallow_expired_window = {WINDOW}\n"
EARLY = f"[credentials]\nallow_expired_window = {WINDOW / 2:.0f}\n"
"""Where a margin of seconds is to be used on a busy machine."""


SCENES: dict[str, Play] = {}


def scene(play: Play) -> Play:
    SCENES[play.__name__] = play
    return play


@pytest.fixture(scope="module")
def played(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
           ) -> Iterator[Mapping[str, Future[None]]]:
    before = cloud.settings
    cloud.set_token_lifetime(LIFE, WINDOW)
    with playing(cloud, SCENES, tmp_path_factory) as scenes:
        yield scenes
    cloud.set_token_lifetime(before.token_expiration, before.allow_expired_window)


@scene
def the_credential_changes_at_its_deadline_and_nobody_notices(on: Scene) -> None:
    somebody = on.somebody
    begun = begin(on.speak("karbor", CONF), on.name)
    [trust] = somebody.trusts("karbor")
    assert trust["impersonation"] is True
    assert trust["redelegation_count"] == 0
    with begun.live, begun.connect() as opened:
        native = Client("3", session=opened.factory.session,
                        endpoint_override=opened.factory.endpoint("cinder"))
        proxy = opened.client("nova")
        speaks(opened)
        first = token(opened)
        assert begun.kept["rung"] == CredentialKind.USER_AND_SERVICE
        until(begun.deadline + 0.1)
        assert opened.ended is None
        native.volumes.list()
        assert begun.kept["rung"] == CredentialKind.TRUST
        [told] = begun.told
        assert told == ("credential changed from user + service token to trust + service token: "
                        "its deadline came")
        assert token(opened) != first
        speaks(opened)
        assert isinstance(list(proxy.servers()), list)
        assert (opened.user_id, opened.project_id) == (somebody.user.id, somebody.project.id)
        until(begun.deadline + LIFE + WINDOW)       # the trust's first token is over as well
        for service in ("glance", "neutron", "nova", "cinder"):
            speaks(opened, service)
        with begun.connect(elsewhere=True) as again:    # another process goes on from there
            speaks(again)
            assert again.caller.trust_id == trust["id"]
    begun.end()
    assert somebody.trusts("karbor") == []
    begun.end()         # what is gone is well


@scene
def a_service_is_asked_for_work_with_a_token_that_outlasts_it(on: Scene) -> None:
    begun = begin(on.speak("karbor", CONF), on.name)
    with begun.live, begun.connect() as opened:
        assert opened.ensure_credential(1.0) == begun.kept["token_ends"]
        assert begun.kept["rung"] == CredentialKind.USER_AND_SERVICE
        until(begun.deadline - 8)
        begun_at = time.time()
        ends = opened.ensure_credential(10.0)       # it would go on beyond the deadline
        assert ends is not None
        assert begun.kept["rung"] == CredentialKind.TRUST
        assert ends + WINDOW > begun_at + 10.0
        assert "which the present one would not outlast" in begun.told[0]
        first = token(opened)
        until(ends + WINDOW / 4)
        again = opened.ensure_credential(10.0)      # a fresh token of the same trust
        assert again is not None
        assert again > ends
        assert token(opened) != first
        speaks(opened)
    begun.end()


@scene
def a_window_shorter_than_it_was_said_to_be_is_survived(on: Scene) -> None:
    begun = begin(on.speak("karbor"), on.name)      # it believes in 48 hours
    ends = begun.kept["token_ends"] + WINDOW
    with begun.live, begun.connect() as opened:
        until(ends + 1)
        speaks(opened, "neutron")       # a 401, confirmed by Keystone, and the same request again
        assert begun.kept["rung"] == CredentialKind.TRUST
        [told] = begun.told
        assert "user's token" in told
    begun.end()


@scene
def a_killed_process_leaves_no_trust_that_is_not_found_again(on: Scene) -> None:
    connector = on.speak("karbor", CONF)
    live = connector.log_in(on.name)
    delegation = Delegator(connector.authority, live.login)
    wanted = delegation.choose(60)
    assert delegation.wants(wanted) == "wanted"
    assert connector.authority.settle(wanted)["grant"] is None      # it was not made yet
    made = delegation.grant(wanted)
    settled = connector.authority.settle(wanted)        # as if the answer had not been written down
    assert settled["grant"]["id"] == made["grant"]["id"] == delegation.wants(settled)
    connector.authority.end(wanted)
    assert on.somebody.trusts("karbor") == []
    live.close()


# -- logins that can make no trusts ----------------------------------------------------------------


def with_application_credential(on: Scene) -> Any:
    """Another entry of clouds.yaml, NAME-app, logs in with an application credential."""
    made = on.somebody.make_application_credential()
    on.add_entry(f"{on.name}-app", on.somebody.entry_of(made))
    return made


@scene
def a_login_that_lasts_too_short_is_refused_with_each_reason(on: Scene) -> None:
    with_application_credential(on)
    connector = on.speak("karbor", CONF)
    with connector.log_in(f"{on.name}-app") as live:
        delegation = Delegator(connector.authority, live.login)
        with pytest.raises(NoLastingCredential) as caught:
            delegation.choose(3600)
        for words in ("CVE-2026-43000", "has registered no application credential",
                      "karbor credential register", "60 min"):
            assert words in str(caught.value)
        kept = delegation.choose(5)
        assert (kept["rung"], kept["following"]) == (CredentialKind.USER_AND_SERVICE, [])


@scene
def an_own_login_ends_with_its_application_credential(on: Scene) -> None:
    ends = int(time.time()) + 3000
    for name, more in (("ends", {"expires_at": keystone_time(ends)}), ("lasts", {})):
        made = on.somebody.make_application_credential(**more)
        on.add_entry(f"{on.name}-{name}", on.somebody.entry_of(made))
    connector = on.speak()
    with connector.log_in(f"{on.name}-ends") as live:
        assert live.credential.deadline == ends
        with pytest.raises(NoLastingCredential, match="ends before"):
            Delegator(connector.authority, live.login).choose(3600)
    with connector.log_in(f"{on.name}-lasts") as live:
        assert live.credential.deadline is None


@scene
def an_operation_without_a_further_rung_ends_at_its_deadline_while_it_can_clean_up(on: Scene
                                                                                   ) -> None:
    with_application_credential(on)
    begun = begin(on.speak("karbor", EARLY), f"{on.name}-app", needed=5)
    with begun.live, begun.connect() as opened:
        until(begun.deadline)
        assert "is over" in str(opened.ended)
        speaks(opened)


@scene
def a_registered_application_credential_carries_on(on: Scene) -> None:
    made = with_application_credential(on)
    connector = on.speak("karbor", CONF)
    with connector.log_in(f"{on.name}-app") as live:
        registered = Registrar(connector.authority, live.login).own()
    assert registered.application_credential_id == made["id"]
    assert made["secret"] not in str(registered)
    begun = begin(connector, f"{on.name}-app", registered=registered)
    with begun.live, begun.connect() as opened:
        speaks(opened)
        until(begun.deadline + 0.1)
        speaks(opened)
        assert begun.kept["rung"] == CredentialKind.APPLICATION_CREDENTIAL
        until(begun.deadline + LIFE + WINDOW)
        speaks(opened)
        with begun.connect(elsewhere=True) as again:
            speaks(again)
        on.somebody.revoke_application_credentials()
        with pytest.raises(TokenRejected, match="application credential") as caught:
            until_refused(opened)
        assert caught.value.cause is Cause.REMOVED


@scene
def users_may_trust_an_account_of_its_own(on: Scene) -> None:
    trustee = (f"[trustee]\nauth_type = password\nauth_url = {on.somebody.cloud.auth_url}\n"
               "username = noservice\npassword = devcloud\nuser_domain_name = Default\n")
    begun = begin(on.speak("karbor", f"{CONF}strategy = trust\n{trustee}"), on.name)
    assert [len(on.somebody.trusts(name)) for name in ("karbor", "noservice")] == [0, 1]
    with begun.live, begun.connect() as opened:
        speaks(opened)
        assert (opened.user_id, opened.caller.trust_id) == (
            on.somebody.user.id, begun.kept["grant"]["id"])
    begun.end()
    assert on.somebody.trusts("noservice") == []


# -- taken back (test_revocation has more, with tokens of the usual life) --------------------------


@scene
def a_changed_password_ends_the_token_and_not_the_trust(on: Scene) -> None:
    begun = begin(on.speak("karbor", CONF), on.name)
    with begun.live, begun.connect() as opened:
        speaks(opened)
        on.somebody.change_password()
        settled(lambda: until_refused(opened))
        assert begun.kept["rung"] == CredentialKind.TRUST
    begun.end()


@scene
def a_trust_that_is_gone_when_it_is_needed_ends_the_operation_which_can_clean_up(on: Scene) -> None:
    begun = begin(on.speak("karbor", EARLY), on.name)
    with begun.live, begun.connect() as opened:
        on.somebody.revoke_trusts("karbor")
        speaks(opened)                  # the token is still good
        until(begun.deadline + 0.1)
        speaks(opened)                  # and what is left of it serves for cleaning up
        assert getattr(opened.ended, "cause", None) is Cause.REMOVED
        assert "the trust that the operation runs on was removed" in str(opened.ended)


@pytest.mark.parametrize("name", list(SCENES))
def test_scene(name: str, played: Mapping[str, Future[None]]) -> None:
    played[name].result()
