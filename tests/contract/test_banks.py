"""Every bank against the law for banks. The bank in Swift is tried here on a double of its API, as
Swift and as Ceph's RGW speak it; on a real Swift it is in tests/cloud/test_swift_bank.py."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from karbor_testing.bank import FaultyBank, MemoryBank
from karbor_testing.bank_conformance import BankConformance, BankUnderTest
from karbor_testing.openstack import Double

from karbor.banks.directory import DirectoryBank
from karbor.banks.swift import WHOLE
from karbor.domain.errors import BankError, BankReadOnly, ObjectExists
from tests.cloud.swift_banks import open_bank


class TestDirectoryBank(BankConformance):
    @pytest.fixture
    def under_test(self, tmp_path: Path) -> BankUnderTest:
        options = {"path": str(tmp_path / "bank")}

        def damage(key: str, how: str) -> None:
            path = tmp_path / "bank" / "objects" / f"{key}+b3"
            raw = bytearray(path.read_bytes())
            if how == "cut":
                del raw[-1:]
            else:
                raw[(len(raw) - 115) // 2] ^= 1
            path.write_bytes(raw)

        return BankUnderTest(open=lambda: DirectoryBank(options), damage=damage,
                             plugin="karbor.banks.directory:DirectoryBank", options=options)


class TestMemoryBank(BankConformance):
    @pytest.fixture
    def under_test(self) -> BankUnderTest:
        bank = MemoryBank()
        return BankUnderTest(open=lambda: bank, damage=bank.damage)


class TestFaultyBankWithoutFaults(BankConformance):
    """The decorator itself changes nothing until it is told to."""

    @pytest.fixture
    def under_test(self) -> BankUnderTest:
        bank = MemoryBank()
        return BankUnderTest(open=lambda: FaultyBank(bank), damage=bank.damage)


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    with Double() as one:
        yield one


def in_double(double: Double, user: str = "demo") -> dict[str, Any]:
    """The options of a new bank in an account there."""
    return {"container": f"bank-{uuid.uuid4().hex[:12]}", "account": account(double, user),
            "karbor": "[http]\nretry_longest = 0.1\n"}


def account(double: Double, user: str) -> dict[str, str]:
    auth = double.cloud(user)["auth"]
    return {"swift_auth_url": auth["auth_url"], "swift_user": user, "swift_key": auth["password"],
            "swift_tenant_name": auth["project_name"]}


class OnTheDouble(BankConformance):
    @pytest.fixture
    def under_test(self, double: Double, store: None) -> BankUnderTest:
        options = in_double(double)

        def damage(key: str, how: str) -> None:
            objects = double.dump()["swift.object"]
            name = next(id for id in objects if id.endswith(
                f"/{options['container']}/objects/{key}"))
            raw = bytearray(double.read("swift.object", name))
            if how == "cut":
                del raw[-1:]
            else:
                raw[len(raw) // 2] ^= 1
            double.write("swift.object", name, bytes(raw))

        return BankUnderTest(open=lambda: open_bank(options), damage=damage, options=options,
                             plugin="tests.cloud.swift_banks:open_bank")


class TestSwiftBank(OnTheDouble):
    @pytest.fixture
    def store(self) -> None:
        """As Swift is."""


class TestSwiftBankOnACarelessStore(OnTheDouble):
    """It ignores `If-None-Match`, and lists three names at once at most."""

    @pytest.fixture
    def store(self, double: Double) -> Iterator[None]:
        double.set(object_store="rgw", pages={"object-store": 3})
        yield
        double.set(object_store="swift", pages={})


@pytest.mark.parametrize("store", ["swift", "rgw"])
def test_an_account_that_may_only_read_is_told_as_such(double: Double, store: str) -> None:
    """Also by a store that says 401 where Swift says 403."""
    options = in_double(double)
    stored = open_bank(options).put("k", [b"x"])
    reader = open_bank({**options, "account": account(double, "reader")})
    double.set(object_store=store)
    try:
        assert reader.list() == [stored]
        assert b"".join(reader.get("k")) == b"x"
        for attempt in (lambda: reader.put("l", [b"x"]), lambda: reader.delete(["k"]),
                        lambda: reader.put("l", [b"x"], absent=True),
                        lambda: reader.put("l", [bytes(WHOLE + 1)])):
            with pytest.raises(BankReadOnly):
                attempt()
    finally:
        double.set(object_store="swift")
    assert reader.list() == [stored]


@pytest.mark.parametrize("store", ["swift", "rgw"])
def test_a_bank_in_another_projects_account_is_not_called_read_only(
        double: Double, store: str) -> None:
    """An `endpoint_override` with the id of another project, which may not even be read."""
    options = in_double(double)
    open_bank(options).put("k", [b"x"])
    double.set(object_store=store)
    try:
        for attempt in (lambda bank: bank.list(), lambda bank: bank.put("l", [b"x"]),
                        lambda bank: bank.put("l", [b"x"], absent=True),
                        lambda bank: bank.delete(["k"])):
            stranger = open_bank({**options, "account": {
                **account(double, "demo2"),
                "endpoint_override": f"{double.url}/object-store/v1/AUTH_"
                                     f"{project_of(double, 'demo')}"}})
            with pytest.raises(BankError, match="answered 403") as caught:
                attempt(stranger)
            assert not isinstance(caught.value, BankReadOnly)
            assert "own project" in caught.value.remedy
            assert "endpoint_override" in caught.value.remedy
    finally:
        double.set(object_store="swift")


def project_of(double: Double, name: str) -> str:
    return next(id for id, one in double.dump()["keystone.project"].items()
                if one["name"] == name)


def test_a_list_without_content_types_is_a_list(double: Double) -> None:
    """What somebody put below `objects/` without one is listed, and cannot be read."""
    options = in_double(double)
    bank = open_bank(options)
    bank.put("a", [b"x"])
    double.set(object_store="rgw")
    try:
        store = bank._store  # the account's own session is at hand there
        store.api.send("PUT", f"/{options['container']}/objects/strange", data=b"y")
        assert [(one.key, bool(one.checksum)) for one in bank.list()] == [
            ("a", True), ("strange", False)]
    finally:
        double.set(object_store="swift")


def test_a_careless_store_is_written_to_after_a_look(double: Double) -> None:
    options = in_double(double)
    bank = open_bank(options)
    double.set(object_store="rgw")
    try:
        for key, body in (("small", b"first"), ("large", b"f" * (WHOLE + 1))):
            bank.put(key, [body], absent=True)
            with pytest.raises(ObjectExists):
                bank.put(key, [b"second" + body], absent=True)
            assert b"".join(bank.get(key)) == body
    finally:
        double.set(object_store="swift")
