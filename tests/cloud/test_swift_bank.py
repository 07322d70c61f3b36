"""The bank in Swift against the law for banks, on the real Swift."""

from __future__ import annotations

import contextlib
import random
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import openstack.connection
import pytest
import requests
from karbor_testing.bank_conformance import BankConformance, BankUnderTest
from requests.adapters import HTTPAdapter

from karbor.banks.swift import WHOLE, SwiftBank
from karbor.clients import swift_claims
from karbor.domain.errors import (
    BadInput,
    BankError,
    BankFull,
    BankReadOnly,
    BankUnavailable,
    ObjectDamaged,
    ObjectExists,
)
from tests.cloud.conftest import Cloud
from tests.cloud.somebody import PASSWORD, new_somebody
from tests.cloud.swift_banks import open_bank


@pytest.fixture(scope="module")
def swift(cloud: Cloud) -> Iterator[openstack.connection.Connection]:
    """Behind the bank's back, as another one who has the account."""
    with cloud.connection("demo2") as connection:
        yield connection


@pytest.fixture
def options(cloud: Cloud, swift: openstack.connection.Connection) -> Iterator[dict[str, Any]]:
    container = f"karbor-test-bank-{uuid.uuid4().hex[:12]}"
    yield {"container": container, "account": {
        "swift_auth_url": cloud.auth_url, "swift_user": "demo2", "swift_key": "devcloud",
        "swift_tenant_name": "demo2"}}
    store = swift.object_store
    while names := [one["name"] for one in listed(swift, container)]:
        for name in names:
            with contextlib.suppress(Exception):
                store.delete(f"/{container}/{name}")
    store.delete(f"/{container}")


def listed(swift: openstack.connection.Connection, container: str, prefix: str = ""
           ) -> list[dict[str, Any]]:
    answer = swift.object_store.get(f"/{container}", params={"format": "json", "prefix": prefix})
    return answer.json() if answer.status_code == 200 and answer.content else []


class TestSwiftBank(BankConformance):
    @pytest.fixture
    def under_test(self, swift: openstack.connection.Connection, options: dict[str, Any]
                   ) -> BankUnderTest:
        def damage(key: str, how: str) -> None:
            """As somebody does who writes other bytes and leaves the description as it was."""
            path = f"/{options['container']}/objects/{key}"
            found = swift.object_store.get(path)
            raw = bytearray(found.content)
            if how == "cut":
                del raw[-1:]
            else:
                raw[len(raw) // 2] ^= 1
            answer = swift.object_store.put(path, data=bytes(raw), headers={
                "Content-Type": found.headers["Content-Type"]})
            assert answer.status_code == 201

        return BankUnderTest(open=lambda: open_bank(options), damage=damage, options=options,
                             plugin="tests.cloud.swift_banks:open_bank")


# -------------------------------------------------------------------- what is Swift's own
class Line(HTTPAdapter):
    """The network, which does to a request what `strike` says; it returns what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.strike: Callable[[requests.PreparedRequest, Callable[[], requests.Response]],
                              requests.Response] = lambda _request, sent: sent()
        self.seen: list[str] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        self.seen.append(f"{request.method} {request.path_url}")
        return self.strike(request, lambda: super(Line, self).send(request, **options))


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def bank(options: dict[str, Any], line: Line) -> SwiftBank:
    opened = open_bank({**options, "karbor": "[http]\nretry_longest = 0.1\n"}, line)
    opened.put("ready", [b""])
    opened.delete(["ready"])
    line.seen.clear()
    return opened


def to_object(request: requests.PreparedRequest, method: str) -> bool:
    path = str(request.path_url)
    return request.method == method and "/objects/" in path and "/claims/" not in path


def test_bytes_that_change_on_their_way_are_sent_again(bank: SwiftBank, line: Line) -> None:
    struck = []

    def flip(request: requests.PreparedRequest, sent: Callable[[], requests.Response]
             ) -> requests.Response:
        if to_object(request, "PUT") and not struck:
            struck.append(request.body)
            request.body = b"y" + bytes(request.body or b"")[1:]    # type: ignore[arg-type]
        return sent()

    line.strike = flip
    for absent in (False, True):
        struck.clear()
        stored = bank.put(f"k{absent}", [b"x" * 1000], absent=absent)
        assert struck == [b"x" * 1000]
        assert b"".join(bank.get(stored.key)) == b"x" * 1000


def test_a_lost_answer_does_not_make_a_writer_lose_to_itself(bank: SwiftBank, line: Line) -> None:
    lost = []

    def lose(request: requests.PreparedRequest, sent: Callable[[], requests.Response]
             ) -> requests.Response:
        answer = sent()
        if to_object(request, "PUT") and not lost:
            lost.append(answer.status_code)
            raise requests.ConnectionError("the answer is lost")
        return answer

    line.strike = lose
    bank.put("k", [b"mine"], absent=True)
    assert lost == [201]
    assert b"".join(bank.get("k")) == b"mine"
    with pytest.raises(ObjectExists):
        bank.put("k", [b"another"], absent=True)


def test_a_stream_is_sent_once(bank: SwiftBank, line: Line) -> None:
    def lose(request: requests.PreparedRequest, sent: Callable[[], requests.Response]
             ) -> requests.Response:
        answer = sent()
        if request.method == "PUT" and "/incoming/" in str(request.path_url):
            raise requests.ConnectionError("the answer is lost")
        return answer

    line.strike = lose
    with pytest.raises(BankUnavailable):
        bank.put("k", noise(WHOLE + 1))
    assert len([one for one in line.seen if "/incoming/" in one]) == 1
    assert bank.stat("k") is None


def noise(size: int) -> Iterator[bytes]:
    return (random.Random(at).randbytes(min(1 << 20, size - at)) for at in range(0, size, 1 << 20))


def test_a_large_object_takes_little_memory_and_leaves_nothing_beside_it(
        bank: SwiftBank, swift: openstack.connection.Connection, options: dict[str, Any]) -> None:
    size = 40 << 20
    tracemalloc.start()
    try:
        stored = bank.put("large", noise(size), absent=True)
        read = sum(len(one) for one in bank.get("large"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (stored.size, read) == (size, size)
    assert peak < 4 * WHOLE
    for place in ("incoming/", "claims/"):
        assert listed(swift, options["container"], place) == []
    answer = swift.object_store.head(f"/{options['container']}/objects/large")
    assert "X-Delete-At" not in answer.headers
    with pytest.raises(ObjectExists):
        bank.put("large", noise(size), absent=True)


def test_the_requests_that_things_cost(bank: SwiftBank, line: Line) -> None:
    def asked() -> list[str]:
        seen = [one.split(" ")[0] for one in line.seen]
        line.seen.clear()
        return seen

    for number in range(30):
        bank.put(f"p/{number:02d}", [b"x"])
    assert asked() == ["PUT"] * 30
    assert [one.size for one in bank.list("p/", limit=20)] == [1] * 20
    assert asked() == ["GET"]
    assert bank.stat("p/00") is not None
    assert asked() == ["HEAD"]
    bank.delete([f"p/{number:02d}" for number in range(40)])
    assert asked() == ["POST"]
    assert bank.list("p/") == []
    asked()
    bank.put("first", [b"x"], absent=True)
    assert asked() == ["PUT", "GET", "GET", "HEAD", "PUT", "HEAD", "DELETE"]


def test_the_claim_of_a_writer_that_died_is_waited_for_no_longer_than_its_life(
        bank: SwiftBank, swift: openstack.connection.Connection, options: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch) -> None:
    claim = f"/{options['container']}/claims/objects/k+/dead"
    assert swift.object_store.put(claim, data=b"").status_code == 201
    monkeypatch.setattr(swift_claims, "LIFE", 3.0)
    bank.put("k", [b"x"], absent=True)
    assert b"".join(bank.get("k")) == b"x"


def test_a_disk_that_flips_a_bit_is_noticed(bank: SwiftBank, cloud: Cloud) -> None:
    mark = uuid.uuid4().hex.encode() * 40
    bank.put("k", [mark])
    files = [one for one in (cloud.state.data / "swift").rglob("*.data")
             if one.read_bytes() == mark]
    assert len(files) == 1
    files[0].write_bytes(b"?" + mark[1:])
    with pytest.raises(ObjectDamaged):
        list(bank.get("k"))


def test_what_lies_in_the_container_already_is_left_alone(
        swift: openstack.connection.Connection, options: dict[str, Any]) -> None:
    container = options["container"]
    swift.object_store.put(f"/{container}")
    old = f"/{container}//checkpoints/1/index.json"
    assert swift.object_store.put(old, data=b"{}").status_code == 201
    bank = open_bank(options)
    bank.put("k", [b"x"])
    assert [one.key for one in bank.list()] == ["k"]
    assert swift.object_store.get(old).content == b"{}"


# -------------------------------------------------------------------- what goes wrong
def test_a_full_container_is_told_as_such(
        bank: SwiftBank, swift: openstack.connection.Connection, options: dict[str, Any]) -> None:
    assert bank.room() is None
    swift.object_store.post(f"/{options['container']}", headers={
        "X-Container-Meta-Quota-Bytes": "1000"})
    left = bank.room()
    assert left is not None
    assert 0 <= left <= 1000
    with pytest.raises(BankFull, match="quota"):
        bank.put("k", [bytes(2000)])
    with pytest.raises(BankFull):
        bank.put("k", noise(WHOLE + 1))


def test_an_account_that_may_only_read_is_told_as_such(
        bank: SwiftBank, swift: openstack.connection.Connection, options: dict[str, Any],
        cloud: Cloud) -> None:
    stored = bank.put("k", [b"x"])
    swift.object_store.post(f"/{options['container']}", headers={
        "X-Container-Read": "*:reader,.rlistings"})
    endpoint = swift.object_store.get_endpoint()
    reader = open_bank({**options, "account": {
        **options["account"], "swift_user": "reader", "swift_tenant_name": "demo",
        "swift_endpoint": endpoint}})
    assert reader.list() == [stored]
    assert b"".join(reader.get("k")) == b"x"
    for attempt in (lambda: reader.put("l", [b"x"]), lambda: reader.delete(["k", "l"]),
                    lambda: reader.delete(["k"])):
        with pytest.raises(BankReadOnly):
            attempt()
    assert reader.list() == [stored]


def test_a_container_that_is_gone_is_no_empty_bank(
        bank: SwiftBank, swift: openstack.connection.Connection, options: dict[str, Any]) -> None:
    swift.object_store.delete(f"/{options['container']}/karbor-bank.json")
    swift.object_store.delete(f"/{options['container']}")
    with pytest.raises(BankUnavailable):
        bank.list()
    with pytest.raises(BadInput, match="has no bank"):
        open_bank({**options, "create": False}).list()


@pytest.mark.parametrize(("change", "error", "words"), [
    ({"swift_key": "wrong"}, BankError, r"\[swift_client\]"),
    ({"swift_endpoint": "http://127.0.0.1:9/v1/AUTH_x"}, BankUnavailable, "does not answer"),
    ({"swift_auth_url": "http://127.0.0.1:9/v3"}, BankUnavailable, "nobody answers"),
])
def test_an_account_that_does_not_get_in_is_told(
        options: dict[str, Any], change: dict[str, str], error: type[BankError], words: str
) -> None:
    bank = open_bank({**options, "account": {**options["account"], **change},
                      "karbor": "[http]\nretries = 0\n"})
    with pytest.raises(error, match=words) as caught:
        bank.list()
    assert "devcloud" not in str(caught.value)


def test_the_account_of_service_user_will_do(cloud: Cloud, options: dict[str, Any]) -> None:
    with new_somebody(cloud) as one:
        one.identity.assign_project_role_to_user(
            one.project, one.user, one.identity.find_role("service"))
        bank = open_bank({**options, "account": {}, "karbor": (
            f"[service_user]\nauth_type = password\nauth_url = {cloud.auth_url}\n"
            f"username = {one.user.name}\npassword = {PASSWORD}\n"
            f"project_name = {one.project.name}\nuser_domain_name = Default\n"
            "project_domain_name = Default\n")})
        bank.put("k", [b"x"])
        assert [found.key for found in bank.list()] == ["k"]
        bank.delete(["k"])


def test_a_swift_without_bulk_deletion_deletes_one_by_one(bank: SwiftBank, line: Line) -> None:
    for number in range(3):
        bank.put(f"k{number}", [b"x"])

    def accounts_own(request: requests.PreparedRequest, sent: Callable[[], requests.Response]
                     ) -> requests.Response:
        if request.method != "POST":
            return sent()
        answer = requests.Response()        # as a POST to an account is answered
        answer.status_code = 204
        return answer

    line.strike = accounts_own
    bank.delete(["k0", "k1", "absent"])
    assert [one.key for one in bank.list()] == ["k2"]
