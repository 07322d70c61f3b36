"""Streams kept in a bank and read back."""

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterable, Iterator

import pytest
from blake3 import blake3
from karbor_testing.bank import Fault, FaultyBank, How, MemoryBank

from karbor.domain.errors import (
    BadInput,
    BankFull,
    BankUnavailable,
    CloudUnavailable,
    NewerFormat,
    ObjectDamaged,
    ObjectMissing,
    RemoteFailed,
)
from karbor.plugin.bank import Section
from karbor.vault import Manifest, Paused, Vault
from karbor.vault import pieces as pieces_module

CUT = 1000
PAGE = 4
random_bytes = random.Random(7).randbytes


def disk(blocks: str, tail: int = 0) -> bytes:
    """A block per character: 0 zeros, t text, anything else noise of its own."""
    made = {"0": bytes(CUT), "t": (b"all work and no play " * CUT)[:CUT]}
    body = b"".join(made.get(one) or random.Random(one).randbytes(CUT) for one in blocks)
    return body + random.Random("tail").randbytes(tail)


class Source:
    """Bytes that can be opened at an offset; notes where, and breaks where told."""

    def __init__(self, body: bytes, *, breaks_at: int | None = None, chunk: int = 333) -> None:
        self.body, self.breaks_at, self.chunk = body, breaks_at, chunk
        self.opened: list[int] = []
        self.closed = 0

    def __call__(self, offset: int) -> Iterator[bytes]:
        self.opened.append(offset)
        return self._chunks(offset)

    def _chunks(self, offset: int) -> Iterator[bytes]:
        try:
            end = len(self.body) if self.breaks_at is None else self.breaks_at
            for at in range(offset, end, self.chunk):
                yield self.body[at:min(at + self.chunk, end)]
            if self.breaks_at is not None:
                raise CloudUnavailable("the line is dead")
        finally:
            self.closed += 1


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank()


def vault(bank: MemoryBank | FaultyBank) -> Vault:
    return Vault(Section(bank, "s"), cut=CUT, page=PAGE)


def kept(result: Manifest | Paused) -> Manifest:
    assert isinstance(result, Manifest)
    return result


def names(bank: MemoryBank, prefix: str) -> list[str]:
    return [one.key for one in bank.list(f"s/{prefix}")]


# ---------------------------------------------------------------------- there and back
@pytest.mark.parametrize("body", [
    b"", b"x", disk("a"), disk("a", 1), disk("0"), bytes(CUT + 5), disk("abcd"), disk("abcde", 999),
    disk("a000b0", 3), disk("0" * 9), disk("0" * 9) + bytes(3), disk("ttt0aaa00000tb")])
def test_what_is_kept_comes_back(bank: MemoryBank, body: bytes) -> None:
    done: list[int] = []
    manifest = kept(vault(bank).store("image", Source(body), size=len(body), hashes=["md5"],
                                      expected={"sha512": hashlib.sha512(body).hexdigest()},
                                      progress=done.append))
    assert manifest.size == len(body)
    assert manifest.checksums == {"blake3": blake3(body).hexdigest(),
                                  "md5": hashlib.md5(body).hexdigest(),
                                  "sha512": hashlib.sha512(body).hexdigest()}
    assert done == sorted(done)
    assert done[-1:] == ([len(body)] if body else [])
    reader = vault(bank)
    assert reader.open("image", manifest.facts()) == manifest
    assert b"".join(reader.read(manifest)) == body
    for offset in (1, CUT - 1, CUT, CUT + 1, len(body) - 1, len(body)):
        if 0 <= offset <= len(body):
            assert b"".join(reader.read(manifest, offset)) == body[offset:]
    assert reader.check(manifest) == len(body)


def test_a_stream_of_unknown_size_is_kept_too(bank: MemoryBank) -> None:
    body = disk("abcdefgh", 5)
    assert kept(vault(bank).store("image", Source(body))).size == len(body)


def test_zeros_are_not_stored_and_text_is_compressed(bank: MemoryBank) -> None:
    manifest = kept(vault(bank).store("image", Source(disk("0t0a00"))))
    assert manifest.pieces == 2
    assert CUT < manifest.stored < CUT + 100
    assert len(names(bank, "image/pieces/")) == 2
    assert sum(one.size for one in bank.list("s/image/pieces/")) == manifest.stored


def test_the_usual_cut_is_4_mib(bank: MemoryBank) -> None:
    body = os.urandom(5_000_000)
    manifest = kept(Vault(Section(bank, "s")).store("image", Source(body, chunk=65536)))
    assert (manifest.cut, manifest.pieces) == (4 * 1024 * 1024, 2)
    assert b"".join(Vault(Section(bank, "s")).read(manifest)) == body


def test_streams_of_one_section_do_not_meet(bank: MemoryBank) -> None:
    one, two = disk("ab"), disk("cd")
    first = kept(vault(bank).store("one", Source(one)))
    second = kept(vault(bank).store("two", Source(two)))
    assert b"".join(vault(bank).read(first)) == one
    assert b"".join(vault(bank).read(second)) == two
    with pytest.raises(BadInput):
        vault(bank).store("../one", Source(one))


def test_a_kept_stream_is_not_asked_for_again(bank: MemoryBank) -> None:
    manifest = vault(bank).store("image", Source(disk("abc")))
    source = Source(disk("other"))
    assert vault(bank).store("image", source) == manifest
    assert source.opened == []


def test_memory_stays_bounded(bank: MemoryBank) -> None:
    """However fast the source is, only a few blocks are on their way."""
    ahead: list[int] = []
    written = FaultyBank(bank)

    def source(offset: int) -> Iterator[bytes]:
        for number in range(offset // CUT, 200):
            ahead.append(number - sum(method == "put" for method, _ in written.calls))
            yield random.Random(number).randbytes(CUT)

    vault(written).store("image", source)
    assert max(ahead) <= 8


# ---------------------------------------------------------------------- going on
def test_a_stop_goes_on_later_from_a_block(bank: MemoryBank) -> None:
    body = disk("ab0cdefg00hijk", 77)
    turns = 0
    source = Source(body)
    offsets = [0]
    while True:
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            # Reading back what an earlier turn has kept asks once a block as well.
            return asked > offsets[-1] // CUT + 3

        result = vault(bank).store("image", source, size=len(body), stop=stop)
        turns += 1
        if isinstance(result, Manifest):
            break
        assert result.offset == offsets[-1] + 3 * CUT
        offsets.append(result.offset)
    assert turns == 5
    assert source.opened == offsets
    assert source.closed == len(source.opened)
    assert b"".join(vault(bank).read(result)) == body
    assert result.checksums["blake3"] == blake3(body).hexdigest()


def test_a_stop_while_reading_back_loses_nothing(bank: MemoryBank) -> None:
    body = disk("abcdefgh")
    with pytest.raises(CloudUnavailable):
        vault(bank).store("image", Source(body, breaks_at=5 * CUT), size=len(body))
    assert vault(bank).store("image", Source(body), stop=lambda: True) == Paused(5 * CUT)
    source = Source(body)
    kept(vault(bank).store("image", source))
    assert source.opened == [5 * CUT]


@pytest.mark.parametrize("breaks_at", [0, 1, CUT, 3 * CUT + 500, 4 * CUT, 9 * CUT + 1])
def test_a_broken_stream_goes_on_where_it_broke(bank: MemoryBank, breaks_at: int) -> None:
    body = disk("ab0cdefg00hijk", 77)
    with pytest.raises(CloudUnavailable, match="the line is dead"):
        vault(bank).store("image", Source(body, breaks_at=breaks_at), size=len(body))
    source = Source(body)
    manifest = kept(vault(bank).store("image", source, size=len(body)))
    assert source.opened == [breaks_at // CUT * CUT]
    assert b"".join(vault(bank).read(manifest)) == body


def every_put(body: bytes) -> int:
    bank = FaultyBank(MemoryBank())
    vault(bank).store("image", Source(body), size=len(body))
    return sum(method == "put" for method, _ in bank.calls)


BODY = disk("ab0tdefg00hijk", 77)


@pytest.mark.parametrize("how", [How.BEFORE, How.AFTER, How.TRUNCATE])
@pytest.mark.parametrize("nth", range(1, every_put(BODY) + 1))
def test_a_bank_that_fails_at_any_write_is_gone_on_with(bank: MemoryBank, nth: int, how: How
                                                        ) -> None:
    fault = Fault("put", how, nth=nth)
    with pytest.raises(BankUnavailable):
        vault(FaultyBank(bank, fault)).store("image", Source(BODY), size=len(BODY))
    assert fault.struck == 1
    manifest = kept(vault(bank).store("image", Source(BODY), size=len(BODY)))
    assert b"".join(vault(bank).read(manifest)) == BODY
    assert manifest.checksums["blake3"] == blake3(BODY).hexdigest()
    assert len(names(bank, "image/pieces/")) == manifest.pieces     # nothing twice


def test_a_full_bank_is_said_as_it_is(bank: MemoryBank) -> None:
    fault = Fault("put", nth=3, times=100, error=lambda: BankFull("no room"))
    with pytest.raises(BankFull):
        vault(FaultyBank(bank, fault)).store("image", Source(disk("abcdef")))
    assert vault(bank).find("image") is None


def test_pieces_before_a_crash_are_adopted_not_written_again(bank: MemoryBank) -> None:
    body = disk("abc")
    with pytest.raises(BankUnavailable):
        vault(FaultyBank(bank, Fault("put", key="pages/"))).store("image", Source(body))
    watched = FaultyBank(bank)
    kept(vault(watched).store("image", Source(body)))
    assert [key for method, key in watched.calls if method == "put" and "/pieces/" in key] == []


@pytest.mark.parametrize("how", ["flip", "cut"])
def test_a_damaged_piece_of_an_earlier_run_is_written_anew(bank: MemoryBank, how: str) -> None:
    body = disk("abcdefgh")
    with pytest.raises(CloudUnavailable):
        vault(bank).store("image", Source(body, breaks_at=6 * CUT))
    for victim in (names(bank, "image/pieces/")[1], names(bank, "image/pieces/")[5]):
        bank.damage(victim, how)
    manifest = kept(vault(bank).store("image", Source(body)))
    assert b"".join(vault(bank).read(manifest)) == body


def test_a_piece_of_another_codec_is_adopted(bank: MemoryBank, monkeypatch: pytest.MonkeyPatch
                                             ) -> None:
    """An earlier Karbor may have compressed differently: what counts is what comes out."""
    body = disk("ttt")
    with monkeypatch.context() as patch:
        patch.setattr(pieces_module, "encode", lambda block: (pieces_module.Codec.PLAIN, block))
        with pytest.raises(BankUnavailable):
            vault(FaultyBank(bank, Fault("put", key="pages/"))).store("image", Source(body))
    manifest = kept(vault(bank).store("image", Source(body)))
    assert manifest.stored == len(body)
    assert b"".join(vault(bank).read(manifest)) == body


def test_a_page_damaged_before_the_end_is_not_relied_upon(bank: MemoryBank) -> None:
    body = disk("abcdefghij")
    with pytest.raises(CloudUnavailable):
        vault(bank).store("image", Source(body, breaks_at=9 * CUT))
    bank.damage(names(bank, "image/pages/")[1], "flip")
    source = Source(body)
    manifest = kept(vault(bank).store("image", source))
    assert source.opened == [4 * CUT]
    assert b"".join(vault(bank).read(manifest)) == body


def test_pages_that_name_a_damaged_piece_are_forgotten(bank: MemoryBank,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """The piece written in its place may be coded differently: the old page would not fit it."""
    body = disk("tttttt")
    with monkeypatch.context() as patch:
        patch.setattr(pieces_module, "encode", lambda block: (pieces_module.Codec.PLAIN, block))
        with pytest.raises(CloudUnavailable):
            vault(bank).store("image", Source(body, breaks_at=4 * CUT))
    bank.damage(names(bank, "image/pieces/")[1], "flip")
    with pytest.raises(CloudUnavailable):
        vault(bank).store("image", Source(body, breaks_at=3 * CUT))
    source = Source(body)
    manifest = kept(vault(bank).store("image", source))
    assert source.opened == [3 * CUT]
    assert b"".join(vault(bank).read(manifest)) == body


def test_two_that_finish_the_same_stream_agree(bank: MemoryBank) -> None:
    """A process thought dead writes its manifest while another is about to."""
    body = disk("abcdef")
    first: list[Manifest] = []

    def source(offset: int) -> Iterable[bytes]:
        first.append(kept(vault(bank).store("image", Source(body))))
        return Source(body)(offset)

    assert kept(vault(bank).store("image", source)) == first[0]


def test_two_streams_of_one_name_do_not(bank: MemoryBank) -> None:
    def source(offset: int) -> Iterable[bytes]:
        vault(bank).store("image", Source(disk("xyz")))
        return Source(disk("abc"))(offset)

    with pytest.raises(ObjectDamaged, match="another stream"):
        vault(bank).store("image", source)


# ---------------------------------------------------------------------- streams that are wrong
@pytest.mark.parametrize("came", [0, 10, CUT, 3 * CUT + 5])
def test_a_stream_that_ends_early_is_never_complete(bank: MemoryBank, came: int) -> None:
    body = disk("abcde")
    with pytest.raises(CloudUnavailable, match=f"ended after {came} of {len(body)} bytes"):
        vault(bank).store("image", Source(body[:came]), size=len(body))
    assert vault(bank).find("image") is None
    source = Source(body)
    kept(vault(bank).store("image", source, size=len(body)))
    assert source.opened == [came // CUT * CUT]


def test_a_stream_that_is_too_long_is_refused(bank: MemoryBank) -> None:
    with pytest.raises(RemoteFailed, match="longer than the 1500 bytes"):
        vault(bank).store("image", Source(disk("abc")), size=1500)
    assert vault(bank).find("image") is None


def test_a_stream_with_another_checksum_does_not_count(bank: MemoryBank) -> None:
    good, bad = disk("abcdef", 9), disk("abcxef", 9)
    expected = {"sha512": hashlib.sha512(good).hexdigest().upper()}
    with pytest.raises(CloudUnavailable, match="sha512"):
        vault(bank).store("image", Source(bad), size=len(good), expected=expected)
    assert vault(bank).find("image") is None
    source = Source(good)
    manifest = kept(vault(bank).store("image", source, size=len(good), expected=expected))
    assert source.opened == [0]
    assert b"".join(vault(bank).read(manifest)) == good


def test_pages_of_a_longer_stream_are_no_beginning_of_a_shorter(bank: MemoryBank) -> None:
    with pytest.raises(CloudUnavailable):
        vault(bank).store("image", Source(disk("abcdef"), breaks_at=5 * CUT))
    source = Source(disk("xy"))
    manifest = kept(vault(bank).store("image", source, size=2 * CUT))
    assert source.opened == [0]
    assert b"".join(vault(bank).read(manifest)) == disk("xy")


# ---------------------------------------------------------------------- reading what is damaged
@pytest.mark.parametrize("how", ["flip", "cut"])
def test_damage_names_the_object(bank: MemoryBank, how: str) -> None:
    manifest = kept(vault(bank).store("image", Source(disk("abtdef"))))
    for victim in (*names(bank, "image/pieces/"), *names(bank, "image/pages/"),
                   "s/image/manifest.json"):
        before = b"".join(bank.get(victim))
        bank.damage(victim, how)
        with pytest.raises(ObjectDamaged, match=victim.removeprefix("s/")):
            reading(bank)
        bank.put(victim, [before])
    for victim in (*names(bank, "image/pieces/"), *names(bank, "image/pages/")):
        before = b"".join(bank.get(victim))
        bank.delete([victim])
        with pytest.raises(ObjectMissing, match=victim):
            reading(bank)
        bank.put(victim, [before])
    assert vault(bank).check(manifest) == manifest.size


def reading(bank: MemoryBank | FaultyBank) -> None:
    reader = vault(bank)
    reader.check(reader.open("image"))


@pytest.mark.parametrize("how", [How.FLIP, How.TRUNCATE])
@pytest.mark.parametrize("blocks", ["abadef", "tttttt"])
def test_bytes_changed_on_the_way_are_noticed_without_the_banks_help(
        bank: MemoryBank, how: How, blocks: str) -> None:
    manifest = kept(vault(bank).store("image", Source(disk(blocks))))
    for nth in range(1, 7):
        lying = FaultyBank(bank, Fault("get", how, nth=nth, key="/pieces/"))
        with pytest.raises(ObjectDamaged, match=r"image/pieces/0000000/000000000\d-"):
            vault(lying).check(manifest)
    lying = FaultyBank(bank, Fault("get", how, key="/pages/"))
    with pytest.raises(ObjectDamaged, match="image/pages/0000000000-"):
        vault(lying).check(manifest)


def test_a_swapped_piece_is_noticed(bank: MemoryBank) -> None:
    vault(bank).store("image", Source(disk("ab")))
    one, two = names(bank, "image/pieces/")
    body = b"".join(bank.get(one))
    bank.put(two, [body])       # a good object, but not that one
    with pytest.raises(ObjectDamaged, match=two.removeprefix("s/")):
        reading(bank)


def test_a_manifest_put_in_anothers_place_is_noticed(bank: MemoryBank) -> None:
    facts = kept(vault(bank).store("image", Source(disk("ab")))).facts()
    vault(bank).store("image2", Source(disk("cd")))
    bank.put("s/image/manifest.json", bank.get("s/image2/manifest.json"))
    with pytest.raises(ObjectDamaged):
        vault(bank).open("image")
    bank.delete(names(bank, "image/"))
    with pytest.raises(ObjectMissing):
        vault(bank).open("image")
    vault(bank).store("image", Source(disk("cd")))
    with pytest.raises(ObjectDamaged, match="not the one the checkpoint names"):
        vault(bank).open("image", facts)


def change(bank: MemoryBank, key: str, edit: Callable[[dict[str, object]], object]) -> None:
    raw = json.loads(b"".join(bank.get(key)))
    edit(raw)
    bank.put(key, [json.dumps(raw).encode()])


@pytest.mark.parametrize("edit", [
    lambda raw: raw.pop("size"), lambda raw: raw.update(kind="soup"), lambda raw: raw.update(cut=0),
    lambda raw: raw.update(size=-1), lambda raw: raw.update(size="many"),
    lambda raw: raw["pages"].pop(), lambda raw: raw["pages"].reverse(),
    lambda raw: raw.update(checksums={}), lambda raw: raw.update(checksums=3),
    lambda raw: raw.update(format="one"), lambda raw: raw.update(name="other")])
def test_a_manifest_that_makes_no_sense_is_damaged(
        bank: MemoryBank, edit: Callable[[dict[str, object]], object]) -> None:
    vault(bank).store("image", Source(disk("abcdef")))
    change(bank, "s/image/manifest.json", edit)
    with pytest.raises(ObjectDamaged, match=r"image/manifest\.json"):
        vault(bank).find("image")


def test_a_wrong_whole_checksum_is_noticed(bank: MemoryBank) -> None:
    vault(bank).store("image", Source(disk("ab")))
    change(bank, "s/image/manifest.json", lambda raw: raw.update(checksums={"blake3": "00" * 32}))
    with pytest.raises(ObjectDamaged, match="are not those of its pieces"):
        reading(bank)


def test_a_newer_format_is_said(bank: MemoryBank) -> None:
    vault(bank).store("image", Source(disk("ab")))
    change(bank, "s/image/manifest.json", lambda raw: raw.update(format=2))
    with pytest.raises(NewerFormat, match="stream format 2"):
        vault(bank).find("image")


def test_a_check_stops_and_goes_on(bank: MemoryBank) -> None:
    manifest = kept(vault(bank).store("image", Source(disk("abcdef", 5))))
    done: list[int] = []
    assert vault(bank).check(manifest, stop=lambda: True, progress=done.append) == CUT
    assert vault(bank).check(manifest, CUT, progress=done.append) == manifest.size
    assert done == [*(number * CUT for number in range(1, 7)), manifest.size]


def test_deleting_the_section_removes_everything(bank: MemoryBank) -> None:
    vault(bank).store("image", Source(disk("abcdefgh")))
    with pytest.raises(CloudUnavailable):
        vault(bank).store("other", Source(disk("abcdefgh"), breaks_at=3 * CUT))
    section = Section(bank, "s")
    section.delete([one.key for one in section.all()])
    assert bank.list() == []
