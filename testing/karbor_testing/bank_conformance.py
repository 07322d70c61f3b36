"""The law for banks: every bank must pass it, Karbor's own and those of others alike.

    class TestMyBank(BankConformance):
        @pytest.fixture
        def under_test(self, tmp_path):
            return BankUnderTest(open=lambda: MyBank({"url": …}), plugin="my.package:MyBank",
                                 options={"url": …}, damage=…)

Needs pytest. Each test begins with an empty bank: `under_test` must see to that.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from blake3 import blake3

from karbor.domain.errors import BadInput, ObjectDamaged, ObjectExists, ObjectMissing
from karbor.plugin.bank import MAX_KEY, MAX_PART, Bank, Section, Stored
from karbor_testing.bank_faults import BankFaults, BankUnderTest

__all__ = ["BankConformance", "BankUnderTest"]

PART = 4 * 1024 * 1024

BAD_KEYS = ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/./b", "a b", "a\n", "ä",
            "a\0", "a\\b", "a:b", "a+b3", "a" * (MAX_PART + 1), "a/" * (MAX_KEY // 2) + "ab"]

# In order of their code points: "-" and "." sort before "/", digits and letters after it.
TRICKY = ["a", "a-b", "a.b", "a/b", "a/b-c", "a/b/c", "a/b/d", "a/b0", "a0", "a=", "a@", "aa", "b"]


class Interrupted(Exception):
    """The body of a put fails with an error of its own."""


class BankConformance(BankFaults):
    """Subclass it with a fixture `under_test`."""

    # ------------------------------------------------------------------ bytes
    @pytest.mark.parametrize("size", [0, 1, 1000, PART - 1, PART, PART + 1, 2 * PART + 5])
    def test_bytes_come_back_as_they_were(self, bank: Bank, size: int) -> None:
        body = random.Random(size).randbytes(size)  # noqa: S311  the same bytes each time
        stored = bank.put("some/key", _in_chunks(body, 700_001))
        assert stored == Stored("some/key", size, blake3(body).hexdigest())
        chunks = list(bank.get("some/key"))
        assert b"".join(chunks) == body
        assert all(0 < len(chunk) <= PART for chunk in chunks)
        assert bank.stat("some/key") == stored
        assert bank.list() == [stored]

    def test_empty_chunks_are_no_end(self, bank: Bank) -> None:
        bank.put("k", [b"", b"one", b"", b"two", b""])
        assert b"".join(bank.get("k")) == b"onetwo"

    def test_another_opening_sees_the_same(self, under_test: BankUnderTest) -> None:
        stored = under_test.open().put("k", [b"lasting"])
        again = under_test.open()
        assert again.list() == [stored]
        assert b"".join(again.get("k")) == b"lasting"

    def test_what_is_not_there_is_said_at_once(self, bank: Bank) -> None:
        bank.put("a/b", [b"x"])
        for key in ("nothing", "a", "a/b/c", "a/bb"):
            with pytest.raises(ObjectMissing):
                bank.get(key)       # before the first chunk is asked for
            assert bank.stat(key) is None

    @pytest.mark.parametrize("size", [0, 1, 1000, 2 * PART + 5])
    def test_a_part_is_that_part(self, bank: Bank, size: int) -> None:
        body = random.Random(size).randbytes(size)  # noqa: S311  the same bytes each time
        bank.put("some/key", _in_chunks(body, 700_001))
        for offset in {0, 1, size // 2, size - 1, size, size + 1, size + PART} - {-1}:
            for length in (0, 1, 500, PART + 1, size, size + 1):
                assert bank.read("some/key", offset, length) == body[offset:offset + length]
        for offset, length in ((-1, 5), (0, -1)):
            with pytest.raises(ValueError, match="no part of"):
                bank.read("some/key", offset, length)

    def test_a_part_of_what_is_not_there_is_missing(self, bank: Bank) -> None:
        bank.put("a/b", [b"x"])
        for key in ("nothing", "a", "a/bb"):
            for length in (0, 1):
                with pytest.raises(ObjectMissing):
                    bank.read(key, 0, length)

    def test_a_list_of_chunks_is_written_as_a_stream_is(self, bank: Bank) -> None:
        body = random.Random(1).randbytes(4 * PART + 7)  # noqa: S311  the same bytes each time
        stored = bank.put("some/key", list(_in_chunks(body, 65_536)))
        assert stored == Stored("some/key", len(body), blake3(body).hexdigest())
        assert b"".join(bank.get("some/key")) == body
        with pytest.raises(ObjectExists):
            bank.put("some/key", list(_in_chunks(body[::-1], 65_536)), absent=True)
        assert bank.stat("some/key") == stored

    # ------------------------------------------------------------------ writing
    def test_a_later_object_replaces_the_earlier(self, bank: Bank) -> None:
        bank.put("k", [b"a long first version"])
        stored = bank.put("k", [b"second"])
        assert b"".join(bank.get("k")) == b"second"
        assert bank.list() == [stored]

    @pytest.mark.parametrize("size", [5, 2 * PART])
    def test_absent_refuses_where_something_is(self, bank: Bank, size: int) -> None:
        """Also above a store of objects that cannot be told to refuse."""
        body = random.Random(size).randbytes(size)  # noqa: S311  the same bytes each time
        first = bank.put("k", _in_chunks(body, PART), absent=True)
        for second in (b"second", body[::-1]):
            with pytest.raises(ObjectExists):
                bank.put("k", _in_chunks(second, PART), absent=True)
            assert bank.stat("k") == first
            assert b"".join(bank.get("k")) == body
        bank.delete(["k"])
        bank.put("k", [b"third"], absent=True)
        assert b"".join(bank.get("k")) == b"third"

    def test_of_many_that_put_if_absent_one_wins(self, bank: Bank) -> None:
        together = threading.Barrier(8)

        def attempt(number: int) -> int | None:
            def body() -> Iterator[bytes]:
                together.wait(60)       # all have begun before any ends
                yield b"%d" % number
            try:
                bank.put("k", body(), absent=True)
            except ObjectExists:
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [one for one in pool.map(attempt, range(8)) if one is not None]
        assert len(winners) == 1
        assert b"".join(bank.get("k")) == b"%d" % winners[0]

    def test_a_reader_never_meets_half_an_object(self, bank: Bank) -> None:
        versions = [bytes([number]) * (PART + 1000) for number in range(6)]
        bank.put("k", [versions[0]])
        ended = threading.Event()

        def write() -> None:
            try:
                for version in versions:
                    bank.put("k", _in_chunks(version, 1_000_000))
            finally:
                ended.set()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            while not ended.is_set():
                stored = bank.stat("k")
                assert stored is not None
                assert stored.size == PART + 1000
                # A reader that was overtaken gets one version whole, or an error: never a mixture.
                try:
                    read = b"".join(bank.get("k"))
                except ObjectDamaged:
                    continue
                assert read in versions
        finally:
            writer.join()
        assert b"".join(bank.get("k")) == versions[-1]

    @pytest.mark.parametrize("absent", [False, True])
    def test_a_body_that_breaks_leaves_nothing(self, bank: Bank, absent: bool) -> None:
        def body() -> Iterator[bytes]:
            yield b"x" * 100_000
            raise Interrupted

        with pytest.raises(Interrupted):
            bank.put("new", body(), absent=absent)
        assert bank.stat("new") is None
        assert bank.list() == []
        bank.put("new", [b"good"], absent=True)
        with pytest.raises((Interrupted, ObjectExists)):
            bank.put("new", body(), absent=absent)
        assert b"".join(bank.get("new")) == b"good"

    def test_an_object_being_written_is_not_there_yet(self, bank: Bank) -> None:
        seen: list[object] = []

        def body() -> Iterator[bytes]:
            yield b"x" * 100_000
            seen.extend([bank.stat("d/k"), *bank.list()])
            yield b"y"

        bank.put("d/k", body())
        assert seen == [None]
        assert [stored.key for stored in bank.list()] == ["d/k"]

    # ------------------------------------------------------------------ names
    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_other_names_are_refused(self, bank: Bank, key: str) -> None:
        for attempt in (lambda: bank.put(key, [b"x"]), lambda: bank.get(key),
                        lambda: bank.stat(key), lambda: bank.delete([key])):
            with pytest.raises(BadInput):
                attempt()
        assert bank.list() == []

    @pytest.mark.parametrize("key", [
        "a" * MAX_PART, "/".join(["b" * MAX_PART] * 2) + "/c", "x/" * (MAX_KEY // 2 - 1) + "xx",
        "AZaz09._@=-/.hidden/-dash/...", "con/nul.json/a"])
    def test_every_name_within_the_rules_is_good(self, bank: Bank, key: str) -> None:
        stored = bank.put(key, [b"x"])
        assert bank.list() == [stored]
        assert b"".join(bank.get(key)) == b"x"
        bank.delete([key])
        assert bank.list() == []

    # ------------------------------------------------------------------ listing
    def test_a_list_is_in_order_of_the_keys(self, bank: Bank) -> None:
        for key in random.Random(1).sample(TRICKY, len(TRICKY)):  # noqa: S311  any order but theirs
            bank.put(key, [key.encode()])
        assert sorted(TRICKY) == TRICKY
        assert [one.key for one in bank.list()] == TRICKY
        for stored in bank.list():
            assert stored == bank.stat(stored.key)

    def test_prefix_after_and_limit_select(self, bank: Bank) -> None:
        for key in TRICKY:
            bank.put(key, [b"x"])
        prefixes = ["", "a", "a/", "a/b", "a/b/", "a/b/c", "a-", "aa", "b", "c", "a//", "../", "/",
                    "a/b/c/d"]
        for prefix in prefixes:
            for after in ["", *TRICKY, "a/~", "a/b/~", "0", "zz", "a/", "a/b/c0"]:
                wanted = [key for key in TRICKY if key.startswith(prefix) and key > after]
                for limit in (0, 1, 2, 100):
                    storeds = bank.list(prefix, after=after, limit=limit)
                    assert [stored.key for stored in storeds] == wanted[:limit], (
                        prefix,
                        after,
                        limit,
                    )

    def test_pages_make_the_whole(self, bank: Bank) -> None:
        keys = sorted(f"p{number % 3}/d{number % 7}/{number:03d}" for number in range(100))
        for key in keys:
            bank.put("s/" + key, [b"x"])
        bank.put("t/other", [b"x"])
        section = Section(bank, "s")
        for limit in (1, 7, 33):
            after, found = "", []
            while page := section.list(after=after, limit=limit):
                found += [stored.key for stored in page]
                after = page[-1].key
            assert found == keys
        assert [stored.key for stored in section.all()] == keys

    def test_a_section_reaches_nothing_else(self, bank: Bank) -> None:
        bank.put("ab/secret", [b"x"])
        bank.put("a.json", [b"x"])
        section = Section(bank, "a")
        section.put("mine", [b"x"])
        assert [stored.key for stored in section.list()] == ["mine"]
        for key in ("../ab/secret", "/ab/secret", ""):
            with pytest.raises(BadInput):
                section.get(key)
            with pytest.raises(BadInput):
                section.delete([key])
        assert section.list("../") == []
        assert section.list("../ab") == []
        assert bank.stat("ab/secret") is not None

    # ------------------------------------------------------------------ deleting
    def test_delete_removes_what_is_named(self, bank: Bank) -> None:
        for key in TRICKY:
            bank.put(key, [b"x"])
        bank.delete(["a/b", "a", "absent", "a/b/c"])
        left = [key for key in TRICKY if key not in ("a/b", "a", "a/b/c")]
        assert [stored.key for stored in bank.list()] == left
        bank.delete(["a/b", "a", "a/b/c"])
        bank.delete([])
        assert [stored.key for stored in bank.list()] == left
        bank.delete(left)
        assert bank.list() == []

    def test_deleting_does_not_hurt_those_who_write_beside(self, bank: Bank) -> None:
        def work(number: int) -> None:
            for turn in range(25):
                key = f"one/place/{number}/{turn % 2}"
                bank.put(key, [b"%d" % turn], absent=True)
                assert b"".join(bank.get(key)) == b"%d" % turn
                bank.delete([key])
                assert bank.stat(key) is None

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert bank.list() == []


def _in_chunks(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at:at + size] for at in range(0, len(body), size))
