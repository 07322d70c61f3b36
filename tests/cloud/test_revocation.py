"""What was delegated is taken back in mid-flight: the next request says so, with the cause.

Tokens live for an hour here. The services that are asked after it have not seen the token before:
none answers from its cache of validated tokens (which bounds a revocation by `token_cache_time`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial

import pytest

from karbor.credentials.registering import Registrar
from karbor.domain.errors import Cause, TokenRejected
from tests.cloud.conftest import Cloud
from tests.cloud.scenes import Play, Scene, begin, playing, speaks, until_refused
from tests.cloud.somebody import Somebody

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
STRATEGIES = {"token": "auto", "trust": "trust", "application credential": "application_credential"}


def taken_back(on: Scene, happens: str, rung: str) -> None:
    how, cause, words = HAPPENS[happens]
    connector = on.speak("karbor", f"[credentials]\nstrategy = {STRATEGIES[rung]}\n")
    registered = None
    if rung == "application credential":
        on.somebody.make_application_credential()       # waits until Keystone knows the new role
        with connector.log_in(on.name) as live:
            registrar = Registrar(connector.authority, live.login)
            registered = registrar.make(registrar.planned(days=1), [])
    begun = begin(connector, on.name, registered=registered)
    with begun.live, begun.connect() as opened:
        speaks(opened)
        assert opened.ended is None
        how(on.somebody)
        with pytest.raises(TokenRejected, match=words) as caught:
            until_refused(opened)
        assert caught.value.cause is cause
        assert words in str(opened.ended)


SCENES: dict[str, Play] = {
    f"{happens} on the {rung}": partial(taken_back, happens=happens, rung=rung)
    for happens in HAPPENS for rung in STRATEGIES
    if not happens.endswith("removed") or happens in (f"{rung} removed", "role removed")}


@pytest.fixture(scope="module")
def played(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
           ) -> Iterator[Mapping[str, Future[None]]]:
    with playing(cloud, SCENES, tmp_path_factory) as scenes:
        yield scenes


@pytest.mark.parametrize("name", list(SCENES))
def test_scene(name: str, played: Mapping[str, Future[None]]) -> None:
    played[name].result()
