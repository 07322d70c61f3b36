"""What is sent twice, and what never."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from keystoneauth1 import exceptions as ksa

from karbor.config import ConfigOpts
from karbor.credentials.service_auth import ServiceAuth
from karbor.credentials.service_token_auth import ServiceTokenAuth
from karbor.credentials.session import OperationSession, open_session
from karbor.credentials.user_auth import user_auth
from karbor.domain.errors import CloudForbidden, ServiceUserUnfit
from tests.unit.credentials.conftest import SERVICE_USER
from tests.unit.credentials.test_user import BODY, TOKEN
from tests.unit.credentials.wire import Keystone, Reply, Sent, Wire

Configured = Callable[[str], ConfigOpts]


class Glance:
    """Refuses service tokens it does not like; keeps what it stored."""

    def __init__(self) -> None:
        self.refuses: Callable[[Sent], bool] = lambda sent: False
        self.stored: list[bytes] = []
        self.moved = False

    def answer(self, sent: Sent) -> Reply:
        if self.refuses(sent):
            return Reply(401, body=b"Unauthorized")
        if self.moved and sent.path == "/v2/file":
            return Reply(307, headers={"Location": "http://glance.test/v2/elsewhere"})
        self.stored.append(sent.body)
        return Reply(204)


@pytest.fixture
def glance() -> Glance:
    return Glance()


@pytest.fixture
def service(configured: Configured, wire: Wire) -> ServiceAuth:
    return ServiceAuth(configured(SERVICE_USER), wire)


@pytest.fixture
def session(configured: Configured, wire: Wire, keystone: Keystone, glance: Glance,
            service: ServiceAuth) -> OperationSession:
    def answer(sent: Sent) -> Reply:
        return keystone.answer(sent) or glance.answer(sent)
    wire.answer = answer
    return open_session(configured(SERVICE_USER), ServiceTokenAuth(user_auth(TOKEN, BODY), service),
                        adapter=wire)


def stream() -> Iterator[bytes]:
    yield b"precious"
    yield b" bytes"


URL = "http://glance.test/v2/file"


def test_both_tokens_go_out_together(session: OperationSession, wire: Wire) -> None:
    session.get(URL)
    assert wire.sent[-1].headers["x-auth-token"] == TOKEN
    assert wire.sent[-1].headers["x-service-token"].startswith("token-karbor-")


def test_without_a_service_token_nothing_is_sent(
        session: OperationSession, wire: Wire, keystone: Keystone) -> None:
    keystone.roles["karbor"] = []
    with pytest.raises(ServiceUserUnfit):
        session.get(URL)
    assert not wire.of("GET", "/v2/file")


@pytest.mark.parametrize("make", [stream, lambda: io.BytesIO(b"precious bytes"),
                                  lambda: iter([b"precious bytes"])],
                         ids=["generator", "file", "iterator"])
def test_a_stream_that_was_refused_is_never_sent_again(
        session: OperationSession, wire: Wire, glance: Glance, make: Callable[[], Any]) -> None:
    glance.refuses = lambda sent: sent.headers["x-service-token"] == "token-karbor-1"
    with pytest.raises(ksa.Unauthorized):
        session.put(URL, data=make())
    assert len(wire.of("PUT", "/v2/file")) == 1
    assert glance.stored == []
    # The credential was renewed meanwhile: whoever begins anew succeeds.
    session.put(URL, data=make())
    assert glance.stored == [b"precious bytes"]


def test_a_stream_does_not_follow_a_redirect(
        session: OperationSession, glance: Glance) -> None:
    glance.moved = True
    with pytest.raises(ksa.HttpError):
        session.put(URL, data=stream())
    assert glance.stored == []
    assert session.put(URL, data=stream(), raise_exc=False).status_code == 307


def test_bytes_and_json_are_sent_again_with_a_new_token(
        session: OperationSession, glance: Glance) -> None:
    glance.refuses = lambda sent: sent.headers["x-service-token"] == "token-karbor-1"
    session.put(URL, data=b"whole")
    session.post(URL, json={"a": 1})
    assert glance.stored == [b"whole", b'{"a": 1}']


def test_a_service_that_always_refuses_causes_no_storm_of_logins(
        session: OperationSession, wire: Wire, glance: Glance, keystone: Keystone) -> None:
    glance.refuses = lambda sent: True

    def use(_: int) -> None:
        for _turn in range(20):
            assert session.get(URL, raise_exc=False).status_code == 401

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(use, range(50)))
    assert keystone.logins == 2
    # Each thread may have had one request under way when the token changed.
    assert 1000 <= len(wire.of("GET", "/v2/file")) <= 1050


def test_requests_have_time_limits(session: OperationSession, wire: Wire) -> None:
    session.get(URL)
    assert all(one.timeout == (10.0, 120.0) for one in wire.sent)


def test_what_was_sent_is_counted_by_service(session: OperationSession) -> None:
    session.transport.name("http://glance.test/v2", "glance")
    session.get(URL)
    session.get("http://other.test/")
    session.put(URL, data=b"")
    assert session.transport.counted == {("glance", "GET"): 1, ("glance", "PUT"): 1,
                                         ("other.test", "GET"): 1}


def test_the_pool_has_room_for_all_threads(configured: Configured, service: ServiceAuth) -> None:
    session = open_session(configured("[limits]\nworkers = 30\ncarriers = 5"), service)
    adapter: Any = session.transport.get_adapter("https://x")
    assert adapter._pool_maxsize == 35


CINDER = "http://cinder.test/v3"
ONE = "9d7a5a2e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(("method", "path", "body"), [
    ("POST", "/attachments", {"attachment": {}}),
    ("PUT", f"/attachments/{ONE}", {"attachment": {}}),
    ("DELETE", f"/attachments/{ONE}", None),
    ("DELETE", f"/0123456789abcdef0123456789abcdef/attachments/{ONE}", None),
    ("POST", f"/attachments/{ONE}/action", {"os-complete": None}),
    ("POST", f"/volumes/{ONE}/action", {"os-detach": {}}),
    ("POST", f"/0123456789abcdef0123456789abcdef/volumes/{ONE}/action", {"os-detach": {}}),
    ("POST", f"/volumes/{ONE}/action", {"os-terminate_connection": {}}),
    ("POST", f"/volumes/{ONE}/action", {"os-force_detach": {}}),
    ("POST", f"/volumes/{ONE}/action.json", {"os-detach": {}}),
    ("POST", "/attachments.json", {"attachment": {}}),
    ("DELETE", f"/attachments//{ONE}", None),
])
def test_what_would_disarm_cinder_does_not_leave_with_a_service_token(
        *, session: OperationSession, wire: Wire, configured: Configured, method: str, path: str,
        body: Any) -> None:
    with pytest.raises(CloudForbidden, match="through Nova"):
        session.request(CINDER + path, method, json=body)
    with pytest.raises(CloudForbidden):     # nor relative to an endpoint, as clients send it
        session.request(path, method, json=body, endpoint_override=CINDER)
    assert not [one for one in wire.sent if one.path.startswith("/v3/" + path[1:])]
    # The user alone may ask: then Cinder's own protection holds.
    alone = open_session(configured(""), user_auth(TOKEN, BODY), adapter=wire)
    assert alone.request(CINDER + path, method, json=body).status_code == 204


@pytest.mark.parametrize(("method", "url", "body"), [
    ("GET", f"{CINDER}/attachments/detail", None),
    ("POST", f"{CINDER}/volumes/{ONE}/action", {"os-extend": {"new_size": 2}}),
    ("POST", f"{CINDER}/volumes/{ONE}/action", {"os-reset_status": {}}),
    ("POST", f"http://nova.test/v2.1/servers/{ONE}/os-volume_attachments", {}),
    ("DELETE", f"http://nova.test/v2.1/servers/{ONE}/os-volume_attachments/{ONE}", None),
    ("PUT", "http://swift.test/v1/AUTH_p/mail/attachments/letter", {}),
])
def test_what_is_harmless_leaves(session: OperationSession, wire: Wire, method: str, url: str,
                                 body: Any) -> None:
    assert session.request(url, method, json=body).status_code == 204


def test_an_action_that_cannot_be_read_is_refused(session: OperationSession) -> None:
    with pytest.raises(CloudForbidden):
        session.post(f"{CINDER}/volumes/{ONE}/action", data=b"\xff not JSON")
    with pytest.raises(CloudForbidden):
        session.post(f"{CINDER}/volumes/{ONE}/action", data=stream())
