"""The bank that fails on order does so as ordered."""

import pytest
from karbor_testing.bank import Fault, FaultyBank, How, MemoryBank

from karbor.domain.errors import BankFull, BankUnavailable


@pytest.fixture
def inner() -> MemoryBank:
    bank = MemoryBank()
    bank.put("there", [b"bytes"])
    return bank


def test_it_strikes_the_calls_that_were_chosen(inner: MemoryBank) -> None:
    fault = Fault("stat", nth=2, times=2, key="her")
    bank = FaultyBank(inner, fault)
    bank.stat("else")
    assert bank.stat("there") is not None
    for _ in range(2):
        with pytest.raises(BankUnavailable):
            bank.stat("there")
    assert bank.stat("there") is not None
    assert fault.struck == 2
    assert bank.calls == [("stat", "else"), *[("stat", "there")] * 4]


@pytest.mark.parametrize(("how", "there"), [(How.BEFORE, False), (How.AFTER, True),
                                            (How.TRUNCATE, False)])
def test_a_put_fails_before_after_or_in_the_middle(inner: MemoryBank, how: How, there: bool
                                                   ) -> None:
    bank = FaultyBank(inner, Fault("put", how, error=lambda: BankFull("no room")))
    with pytest.raises(BankFull):
        bank.put("new", [b"some", b"thing"])
    assert (inner.stat("new") is not None) is there


def test_a_get_fails_ends_early_or_lies(inner: MemoryBank) -> None:
    bank = FaultyBank(inner, Fault("get"), Fault("get", How.TRUNCATE), Fault("get", How.FLIP))
    with pytest.raises(BankUnavailable):
        bank.get("there")
    assert b"".join(bank.get("there")) == b"byte"
    assert b"".join(bank.get("there")) == b"byues"
    assert b"".join(bank.get("there")) == b"bytes"


@pytest.mark.parametrize(("how", "left"), [(How.BEFORE, ["one", "there"]), (How.AFTER, []),
                                           (How.TRUNCATE, ["there"])])
def test_a_delete_fails_before_after_or_half_way(inner: MemoryBank, how: How, left: list[str]
                                                 ) -> None:
    inner.put("one", [b"x"])
    bank = FaultyBank(inner, Fault("delete", how))
    with pytest.raises(BankUnavailable):
        bank.delete(["one", "there"])
    assert [one.key for one in inner.list()] == left
    bank.delete(["one", "there"])
    assert inner.list() == []


def test_a_list_fails(inner: MemoryBank) -> None:
    with pytest.raises(BankUnavailable):
        FaultyBank(inner, Fault("list")).list("th")
