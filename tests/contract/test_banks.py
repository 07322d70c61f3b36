"""Every bank against the law for banks."""

from pathlib import Path

import pytest

from karbor.banks.directory import DirectoryBank
from karbor.testing.bank import FaultyBank, MemoryBank
from karbor.testing.bank_conformance import BankConformance, BankUnderTest


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
