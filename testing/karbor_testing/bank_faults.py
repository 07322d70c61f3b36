"""The law for banks, where disks and processes fail. Part of bank_conformance."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from karbor.domain.errors import ObjectDamaged
from karbor.plugin.bank import Bank

PART = 4 * 1024 * 1024


@dataclass(frozen=True)
class BankUnderTest:
    """How the suite reaches a bank.

    `open` gives a bank upon the same objects each time, as a new process would. `plugin` and
    `options` let another process do so ("module:name"); without them the bank cannot outlive its
    process, and the tests that kill one are left out. `damage` changes the stored bytes of a key
    behind the bank's back: "flip" one bit in the middle of them, or "cut" some off their end.
    """

    open: Callable[[], Bank]
    plugin: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    damage: Callable[[str, str], None] | None = None


class BankFaults:
    """Tests; see BankConformance."""

    @pytest.fixture
    def bank(self, under_test: BankUnderTest) -> Bank:
        return under_test.open()

    @pytest.mark.parametrize("how", ["flip", "cut"])
    @pytest.mark.parametrize("size", [1, 5000, PART + 5000])
    def test_damage_is_noticed(self, under_test: BankUnderTest, bank: Bank, how: str, size: int
                               ) -> None:
        if under_test.damage is None:
            pytest.skip("nobody can reach the bytes of this bank behind its back")
        body = random.Random(size).randbytes(size)  # noqa: S311  the same bytes each time
        bank.put("d/bad", [body])
        good = bank.put("d/good", [body])
        under_test.damage("d/bad", how)
        with pytest.raises(ObjectDamaged) as caught:
            list(bank.get("d/bad"))
        assert "d/bad" in str(caught.value)
        # One bad object does not hide the others, and can be replaced and removed.
        assert [stored.key for stored in bank.list()] == ["d/bad", "d/good"]
        assert bank.list()[1] == good
        assert b"".join(bank.get("d/good")) == body
        bank.put("d/bad", [b"new"])
        assert b"".join(bank.get("d/bad")) == b"new"
        under_test.damage("d/bad", how)
        bank.delete(["d/bad"])
        assert bank.list() == [good]

    @pytest.mark.parametrize("earlier", [False, True])
    def test_a_killed_writer_leaves_nothing_visible(self, under_test: BankUnderTest, earlier: bool
                                                    ) -> None:
        if not under_test.plugin:
            pytest.skip("this bank ends with its process")
        before = [under_test.open().put("d/k", [b"before"])] if earlier else []
        with subprocess.Popen(  # noqa: S603  this very Python, with our own arguments
                [sys.executable, "-m", "karbor_testing.bank_writer", under_test.plugin,
                 json.dumps(dict(under_test.options)), "d/k"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
            try:
                assert writer.stdout is not None
                assert writer.stdout.readline() == b"in the middle\n"
                assert under_test.open().list() == before   # an opening beside a living writer
            finally:
                writer.kill()
        bank = under_test.open()
        assert bank.list() == before
        assert bank.stat("d/k") == (before[0] if before else None)
        bank.delete(["d/k"])
        bank.put("d/k", [b"after"], absent=True)
        assert b"".join(bank.get("d/k")) == b"after"
