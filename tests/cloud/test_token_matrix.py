"""What every service says to fresh, expired and vouched-for tokens; and Karbor on short tokens.

Keystone gives tokens of 15 s here, and lets services use them for 30 s more. It alone is restarted
for that, and put back at the end.

The table is made twice: with the services' token caches at their default (300 s), and off
(token_cache_time = -1), for which all of them are restarted. "Seen" columns ask with a token that
the service had seen while it was fresh, the others with one that it never saw. The dev cloud runs
each API in one process, whose memory the cache is.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from keystoneauth1.identity.access import AccessInfoPlugin
from keystoneauth1.plugin import BaseAuthPlugin

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import Connector
from karbor.clients.services import KNOWN
from karbor.credentials.service_token_auth import ServiceTokenAuth
from karbor.credentials.session import OperationSession, open_session
from karbor.domain.errors import TokenRejected
from tests.cloud.conftest import Cloud
from tests.cloud.speaking import Speaking, speaking

LIFE = 15
WINDOW = 30

PATHS = {"cinder": "/volumes?limit=1", "nova": "/servers?limit=1", "glance": "/images?limit=1",
         "neutron": "/networks?limit=1", "swift": "?limit=1", "manila": "/shares?limit=1",
         "barbican": "/secrets?limit=1"}

GOOD = range(200, 300)
REFUSED = range(401, 402)


@pytest.fixture(scope="module")
def short_tokens(cloud: Cloud) -> Iterator[None]:
    before = cloud.settings
    cloud.set_token_lifetime(LIFE, WINDOW)
    yield
    cloud.set_token_lifetime(before.token_expiration, before.allow_expired_window)


@pytest.fixture
def speak(cloud: Cloud, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
          short_tokens: None) -> Speaking:
    return speaking(cloud, tmp_path, monkeypatch)


@pytest.fixture(params=[300, -1], ids=["token caches at their default", "token caches off"])
def cache_time(request: pytest.FixtureRequest, cloud: Cloud) -> Iterator[int]:
    before = cloud.settings.token_cache_time
    if before != request.param:
        cloud.set_token_lifetime(cache_time=request.param)
    yield request.param
    if before != request.param:
        cloud.set_token_lifetime(cache_time=before)


@dataclass(frozen=True)
class Column:
    """`asks` makes the credential; `expected` for every service but Keystone."""

    name: str
    auth: Callable[[], BaseAuthPlugin]
    expected: range
    keystone: range = REFUSED


class Matrix:
    """Asks all services at the same time, a column after the other."""

    def __init__(self, connector: Connector, addresses: dict[str, str]) -> None:
        self._connector = connector
        self._addresses = addresses
        self.columns: list[Column] = []
        self.cells: dict[tuple[str, str], int] = {}

    def ask(self, *columns: Column) -> None:
        for column in columns:
            self.columns.append(column)
            session = open_session(self._connector.authority.conf, column.auth())
            with ThreadPoolExecutor(len(self._addresses)) as pool:
                answers = pool.map(lambda url, on=session: status(on, url),
                                   self._addresses.values())
                for service, answer in zip(self._addresses, answers, strict=True):
                    self.cells[service, column.name] = answer
            session.close()

    def table(self) -> str:
        names = [column.name for column in self.columns]
        lines = ["".ljust(10) + "  ".join(names)]
        lines += [service.ljust(10) + "  ".join(
            str(self.cells[service, name]).center(len(name)) for name in names)
            for service in self._addresses]
        return "\n".join(lines)

    def wrong(self) -> list[str]:
        return [f"{service}, {column.name}: {self.cells[service, column.name]}"
                for column in self.columns for service in self._addresses
                if self.cells[service, column.name] not in (
                    column.keystone if service == "keystone" else column.expected)]


def status(session: OperationSession, url: str) -> int:
    return int(session.get(url, raise_exc=False).status_code)


def until(moment: float) -> None:
    """Wait for a moment of the clock: a token's end cannot be hurried."""
    time.sleep(max(0.0, moment - time.time()))


def log_in(connector: Connector) -> tuple[AccessInfoPlugin, float]:
    """A new token of demo as Karbor holds it, and its end."""
    with connector.log_in("demo") as opened:
        auth: Any = opened.factory.session.auth
        assert opened.caller.expires_at is not None
        return auth.user_auth, opened.caller.expires_at


@pytest.fixture(scope="module")
def accepted(cloud: Cloud, short_tokens: None, tmp_path_factory: pytest.TempPathFactory
             ) -> Iterator[tuple[Speaking, Mapping[str, Any], float]]:
    """An operation that was accepted when this module began: how to speak in its place, its
    credential, and the end of its token."""
    with pytest.MonkeyPatch.context() as patch:
        speak = speaking(cloud, tmp_path_factory.mktemp("accepted"), patch)
        with speak("karbor", f"[credentials]\nallow_expired_window = {WINDOW}\n").log_in(
                "demo") as opened:
            end = opened.caller.expires_at
            assert end is not None
            yield speak, opened.credential.to_dict(), end


def test_an_operation_goes_on_beyond_its_token_in_another_process(
        accepted: tuple[Speaking, Mapping[str, Any], float]) -> None:
    speak, kept, end = accepted
    assert kept["deadline"] == end + WINDOW - WINDOW / 10
    until(end + 1)
    with speak("karbor").resume(kept) as again:
        assert again.caller.expires_at == end
        assert_speaks(again)


def test_an_own_login_outlives_its_tokens_without_a_login_per_request(speak: Speaking) -> None:
    with speak().log_in("demo") as opened:
        begun = time.time()
        tokens = set()
        sent = 0
        while time.time() < begun + LIFE + 1:
            assert_speaks(opened)
            sent += 1
            tokens.add(opened.factory.session.get_token())
        logins = opened.requests["keystone", "POST"]
    assert len(tokens) >= 2
    assert logins <= 2 + (time.time() - begun) / (LIFE / 2)
    assert sent > logins


def test_an_operation_ends_with_the_window_and_says_so(
        accepted: tuple[Speaking, Mapping[str, Any], float]) -> None:
    speak, kept, end = accepted
    until(end + WINDOW + 1)
    with pytest.raises(TokenRejected, match="longer than Keystone's window"):
        speak("karbor").resume(kept)


def test_what_every_service_says_to_every_kind_of_token(
        cloud: Cloud, cache_time: int, speak: Speaking, capsys: pytest.CaptureFixture[str]
        ) -> None:
    begun = time.monotonic()
    connector = speak("karbor")
    with connector.log_in("demo") as opened:
        addresses = {name: opened.factory.endpoint(name) + path for name, path in PATHS.items()}
    assert set(addresses) == set(KNOWN) - {"trove"}      # which this cloud does not have
    addresses["keystone"] = f"{cloud.auth_url}/auth/projects"
    matrix = Matrix(connector, addresses)
    service = connector.authority.service()
    roleless = speak("noservice", "[credentials]\nservice_role = member\n").authority.service()

    # Services are woken up first: their first request may take longer than a token lives.
    waking, _ = log_in(connector)
    Matrix(connector, addresses).ask(Column("", lambda: waking, GOOD))

    unseen, _ = log_in(connector)       # never shown to a service before its end
    untouched, _ = log_in(connector)    # nor before the end of the window
    seen, end = log_in(connector)
    matrix.ask(Column("fresh", lambda: seen, GOOD, GOOD),
               Column("fresh+service", lambda: ServiceTokenAuth(seen, service), GOOD, GOOD))
    assert time.time() < end, "the machine is too busy for tokens of 15 s"

    until(end + 1)
    matrix.ask(
        Column("expired", lambda: unseen, REFUSED),
        Column("expired/seen", lambda: seen, REFUSED),
        Column("no role", lambda: ServiceTokenAuth(unseen, roleless), REFUSED),
        Column("no role/seen", lambda: ServiceTokenAuth(seen, roleless), REFUSED),
        Column("vouched", lambda: ServiceTokenAuth(unseen, service), GOOD),
        Column("vouched/seen", lambda: ServiceTokenAuth(seen, service), GOOD))
    assert time.time() < end + WINDOW, "the machine is too busy for a window of 30 s"

    until(end + WINDOW + 1)
    kept = cache_time > LIFE + WINDOW
    matrix.ask(
        Column("window over", lambda: ServiceTokenAuth(untouched, service), REFUSED),
        # Served from the service's memory, without asking Keystone: the cache's whole effect.
        Column("window over/seen", lambda: ServiceTokenAuth(seen, service),
               GOOD if kept else REFUSED))

    with capsys.disabled():
        print(f"\n\nTokens of {LIFE} s, window {WINDOW} s, token_cache_time = {cache_time}; with "
              f"a token never seen by the service, and seen:\n{matrix.table()}\n"
              f"{len(matrix.cells)} cells in {time.monotonic() - begun:.0f} s" + (
                  f"; the cache accepts a vouched-for token for up to {cache_time} s after the "
                  "service saw it, whatever Keystone says\n" if kept else "\n"))
    assert matrix.wrong() == []


def assert_speaks(opened: OpenStackCloud) -> None:
    assert isinstance(opened.api("glance").list("/images", "images"), list)
