"""Operations change their credential in mid-flight, and end when it is taken back.

Keystone gives tokens of 12 s here, and lets services use them for 12 s more. Nothing is done by
these operations but requests: what counts is which token goes out, and what becomes of it.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from cinderclient.client import Client

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import Connector
from karbor.credentials.delegation import Delegator
from karbor.credentials.registering import Registrar
from karbor.domain.errors import Cause, NoLastingCredential, TokenRejected
from karbor.domain.ladder import Rung
from karbor.domain.registration import Registration
from tests.cloud.conftest import Cloud
from tests.cloud.somebody import Somebody, new_somebody
from tests.cloud.speaking import Speaking, speaking

LIFE = 12
WINDOW = 12
CONF = f"[credentials]\nallow_expired_window = {WINDOW}\n"


@pytest.fixture(scope="module")
def short_tokens(cloud: Cloud) -> Iterator[None]:
    before = cloud.settings
    cloud.set_token_lifetime(LIFE, WINDOW)
    yield
    cloud.set_token_lifetime(before.token_expiration, before.allow_expired_window)


@pytest.fixture
def somebody(cloud: Cloud, short_tokens: None) -> Iterator[Somebody]:
    with new_somebody(cloud) as made:
        yield made


@pytest.fixture
def speak(cloud: Cloud, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
          somebody: Somebody) -> Speaking:
    made = speaking(cloud, tmp_path, monkeypatch)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(somebody.clouds(tmp_path)))
    return made


@dataclass
class Begun:
    """An operation that was accepted: what it keeps, and what it has told of itself."""

    connector: Connector
    kept: Mapping[str, Any]
    live: OpenStackCloud
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deadline = float(self.kept["deadline"])    # of the rung it begins on

    def connect(self, *, elsewhere: bool = False) -> OpenStackCloud:
        def changed(credential: Mapping[str, Any], why: str) -> None:
            self.kept = credential
            self.told.append(why)
        return self.connector.resume(self.kept, live=None if elsewhere else self.live,
                                     changed=changed)

    def end(self) -> None:
        self.connector.authority.end(self.kept)


def begin(connector: Connector, name: str = "somebody", needed: float = 60.0,
          registered: Registration | None = None) -> Begun:
    live = connector.log_in(name)
    delegation = Delegator(connector.authority, live.login, lambda _project, _user: registered)
    return Begun(connector, delegation.grant(delegation.choose(needed)), live)


def until(moment: float) -> None:
    """Wait for a moment of the clock: a deadline cannot be hurried."""
    time.sleep(max(0.0, moment - time.time()))


def speaks(opened: OpenStackCloud, service: str = "glance") -> None:
    path, key = {"glance": ("/images", "images"), "neutron": ("/networks", "networks"),
                 "nova": ("/servers", "servers"), "cinder": ("/volumes", "volumes")}[service]
    assert isinstance(opened.api(service).list(path, key), list)


def token(opened: OpenStackCloud) -> str:
    return str(opened.factory.session.get_token())


def test_the_credential_changes_at_its_deadline_and_nobody_notices(
        speak: Speaking, somebody: Somebody) -> None:
    begun = begin(speak("karbor", CONF))
    [trust] = somebody.trusts("karbor")
    assert trust["impersonation"] is True
    assert trust["redelegation_count"] == 0
    with begun.live, begun.connect() as opened:
        native = Client("3", session=opened.factory.session,
                        endpoint_override=opened.factory.endpoint("cinder"))
        proxy = opened.client("nova")
        speaks(opened)
        first = token(opened)
        assert begun.kept["rung"] == Rung.USER_AND_SERVICE
        until(begun.deadline + 0.1)
        assert opened.ended is None
        native.volumes.list()
        assert begun.kept["rung"] == Rung.TRUST
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


def test_a_window_shorter_than_it_was_said_to_be_is_survived(speak: Speaking) -> None:
    begun = begin(speak("karbor"))      # it believes in 48 hours
    ends = begun.kept["token_ends"] + WINDOW
    with begun.live, begun.connect() as opened:
        until(ends + 1)
        speaks(opened, "neutron")       # a 401, confirmed by Keystone, and the same request again
        assert begun.kept["rung"] == Rung.TRUST
        [told] = begun.told
        assert "user's token" in told
    begun.end()


def test_a_killed_process_leaves_no_trust_that_is_not_found_again(
        speak: Speaking, somebody: Somebody) -> None:
    connector = speak("karbor", CONF)
    live = connector.log_in("somebody")
    delegation = Delegator(connector.authority, live.login)
    wanted = delegation.choose(60)
    assert delegation.wants(wanted) == "wanted"
    assert connector.authority.settle(wanted)["grant"] is None      # it was not made yet
    made = delegation.grant(wanted)
    settled = connector.authority.settle(wanted)        # as if the answer had not been written down
    assert settled["grant"]["id"] == made["grant"]["id"] == delegation.wants(settled)
    connector.authority.end(wanted)
    assert somebody.trusts("karbor") == []
    live.close()


# -- logins that can make no trusts ----------------------------------------------------------------


@pytest.fixture
def with_application_credential(somebody: Somebody, speak: Speaking, tmp_path: pathlib.Path
                                ) -> Any:
    """The user's entry `app` of clouds.yaml logs in with an application credential."""
    made = somebody.make_application_credential()
    somebody.clouds(tmp_path, app=somebody.entry_of(made))
    return made


def test_a_login_that_lasts_too_short_is_refused_with_each_reason(
        speak: Speaking, with_application_credential: Any) -> None:
    connector = speak("karbor", CONF)
    with connector.log_in("app") as live:
        delegation = Delegator(connector.authority, live.login)
        with pytest.raises(NoLastingCredential) as caught:
            delegation.choose(3600)
        for words in ("CVE-2026-43000", "has registered no application credential",
                      "karbor credential register", "60 min"):
            assert words in str(caught.value)
        kept = delegation.choose(5)
        assert (kept["rung"], kept["following"]) == (Rung.USER_AND_SERVICE, [])


def test_an_operation_without_a_further_rung_ends_at_its_deadline_while_it_can_still_clean_up(
        speak: Speaking, with_application_credential: Any) -> None:
    begun = begin(speak("karbor", CONF), "app", needed=5)
    with begun.live, begun.connect() as opened:
        until(begun.deadline)
        assert "is over" in str(opened.ended)
        speaks(opened)


def test_a_registered_application_credential_carries_on(
        speak: Speaking, with_application_credential: Any, somebody: Somebody) -> None:
    connector = speak("karbor", CONF)
    with connector.log_in("app") as live:
        registered = Registrar(connector.authority, live.login).own()
    assert registered.application_credential_id == with_application_credential["id"]
    assert with_application_credential["secret"] not in str(registered)
    begun = begin(connector, "app", registered=registered)
    with begun.live, begun.connect() as opened:
        speaks(opened)
        until(begun.deadline + 0.1)
        speaks(opened)
        assert begun.kept["rung"] == Rung.APPLICATION_CREDENTIAL
        until(begun.deadline + LIFE + WINDOW)
        speaks(opened)
        with begun.connect(elsewhere=True) as again:
            speaks(again)
        somebody.revoke_application_credentials()
        with pytest.raises(TokenRejected, match="application credential") as caught:
            until_refused(opened)
        assert caught.value.cause is Cause.REMOVED


# -- taken back ------------------------------------------------------------------------------------


def until_refused(opened: OpenStackCloud) -> None:
    """Ask services that have not seen the token yet: none answers from its cache."""
    for service in ("neutron", "cinder", "nova"):
        speaks(opened, service)


TAKEN_BACK: dict[str, tuple[Callable[[Somebody], None], Cause, str]] = {
    "user disabled": (Somebody.be_disabled, Cause.USER_DISABLED, "the user was disabled"),
    "role removed": (Somebody.lose_role, Cause.ROLE_LOST, "has lost a role"),
    "project disabled": (Somebody.lose_project, Cause.PROJECT_DISABLED, "the project was disabled"),
    "trust removed": (lambda one: one.revoke_trusts("karbor"), Cause.REMOVED,
                      "the trust that the operation runs on was removed"),
}


@pytest.mark.parametrize("rung", ["on the token", "on the trust"])
@pytest.mark.parametrize("happens", list(TAKEN_BACK))
def test_what_is_taken_back_ends_the_operation_with_its_cause(
        speak: Speaking, somebody: Somebody, happens: str, rung: str) -> None:
    how, cause, words = TAKEN_BACK[happens]
    begun = begin(speak("karbor", CONF + ("strategy = trust\n" if "trust" in rung else "")))
    with begun.live, begun.connect() as opened:
        speaks(opened)
        how(somebody)
        if happens == "trust removed" and rung == "on the token":
            until_refused(opened)       # the token is still good; what is to follow is gone
            until(begun.deadline + 0.1)
            speaks(opened)              # what is left of it serves for cleaning up
            assert (getattr(opened.ended, "cause", None), opened.ended is not None) == (cause, True)
            assert words in str(opened.ended)
            return
        with pytest.raises(TokenRejected, match=words) as caught:
            until_refused(opened)
        assert caught.value.cause is cause
        assert words in str(opened.ended)


def test_a_changed_password_ends_the_token_and_not_the_trust(
        speak: Speaking, somebody: Somebody) -> None:
    begun = begin(speak("karbor", CONF))
    with begun.live, begun.connect() as opened:
        speaks(opened)
        somebody.change_password()
        until_refused(opened)
        assert begun.kept["rung"] == Rung.TRUST
    begun.end()
