"""What was delegated is taken back in mid-flight: the next request says so, with the cause.

Tokens live for an hour here. The services that are asked after it have not seen the token before:
none answers from its cache of validated tokens (which bounds a revocation by `token_cache_time`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial

import pytest

from karbor.credentials.registration import Registrar
from karbor.domain.errors import Cause, CredentialSuspended, TokenRejected, TokenUnsettled
from tests.cloud.conftest import Cloud
from tests.cloud.scenes import Begun, Play, Scene, begin, playing, speaks, until_refused
from tests.cloud.somebody import Somebody

PATIENCE = 60.0     # seconds that a service may go on refusing what works again

HAPPENS: dict[str, tuple[Callable[[Somebody], None], Cause, str]] = {
    "user disabled": (Somebody.be_disabled, Cause.USER_DISABLED, "the user was disabled"),
    "role removed": (Somebody.lose_role, Cause.ROLE_LOST, "has lost a role"),
    "project disabled": (Somebody.lose_project, Cause.PROJECT_DISABLED, "the project was disabled"),
    "trust removed": (lambda one: one.revoke_trusts("karbor"), Cause.REMOVED,
                      "the trust that the operation runs on was removed"),
    "application credential removed": (
        Somebody.revoke_application_credentials, Cause.REMOVED,
        "the application credential that the operation runs on was removed"),
}
BACK: dict[str, Callable[[Somebody], None]] = {
    "user disabled": Somebody.be_enabled, "role removed": Somebody.get_role_back,
    "project disabled": Somebody.get_project_back}
STRATEGIES = {"token": "auto", "trust": "trust", "application credential": "application_credential"}


def begun_on(on: Scene, kind: str, wait: float) -> Begun:
    connector = on.speak("karbor", f"[credentials]\nstrategy = {STRATEGIES[kind]}\n"
                                   f"refusal_wait = {wait}\n")
    registered = None
    if kind == "application credential":
        on.somebody.make_application_credential()       # waits until Keystone knows the new role
        with connector.log_in(on.name) as live:
            registrar = Registrar(connector.authority, live.login)
            registered = registrar.make(registrar.planned(days=1), [])
    return begin(connector, on.name, registered=registered)


def taken_back(on: Scene, happens: str, kind: str) -> None:
    how, cause, words = HAPPENS[happens]
    begun = begun_on(on, kind, wait=0.0)
    with begun.live, begun.connect() as opened:
        speaks(opened)
        assert opened.ended is None
        how(on.somebody)
        with pytest.raises(TokenRejected, match=words) as caught:
            until_refused(opened)
        assert caught.value.cause is cause
        assert words in str(opened.ended)


def given_back(on: Scene, happens: str, kind: str) -> None:
    """What is put right again is waited for, and the same operation goes on."""
    how, _, words = HAPPENS[happens]
    begun = begun_on(on, kind, wait=600.0)
    with begun.live, begun.connect() as opened:
        speaks(opened)
        how(on.somebody)
        with pytest.raises(CredentialSuspended, match=words):
            until_refused(opened)
        assert opened.ended is None
        BACK[happens](on.somebody)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                until_refused(opened)
                break
            except (CredentialSuspended, TokenUnsettled):
                assert time.monotonic() < end, opened.ended
                time.sleep(1)
        assert opened.ended is None
        assert begun.kept["refused_since"] is None
        assert begun.told[0].startswith("waits, at most until ")
        assert begun.told[-1].startswith("Keystone accepts what the operation runs on again")
    begun.end()


SCENES: dict[str, Play] = {
    f"{happens} on the {kind}": partial(taken_back, happens=happens, kind=kind)
    for happens in HAPPENS for kind in STRATEGIES
    if not happens.endswith("removed") or happens in (f"{kind} removed", "role removed")}
SCENES |= {f"{happens} on the {kind} for a while": partial(given_back, happens=happens, kind=kind)
           for happens in BACK for kind in STRATEGIES}


@pytest.fixture(scope="module")
def played(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
           ) -> Iterator[Mapping[str, Future[None]]]:
    with playing(cloud, SCENES, tmp_path_factory) as scenes:
        yield scenes


@pytest.mark.parametrize("name", list(SCENES))
def test_scene(name: str, played: Mapping[str, Future[None]]) -> None:
    played[name].result()
