"""Streams of format 1, which an earlier Karbor has written, are read back exactly."""

import hashlib
import json
import random
from collections.abc import Callable

import pytest
from blake3 import blake3
from karbor_testing.bank import Fault, FaultyBank, How, MemoryBank
from karbor_testing.stream_writer import write_stream

from karbor.domain.errors import NewerFormat, ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section
from karbor.vault.stream.manifest import StreamManifest
from karbor.vault.stream.reader import StreamReader

CUT = 1000
PAGE = 4
random_bytes = random.Random(7).randbytes


def disk(blocks: str, tail: int = 0) -> bytes:
    """A block per character: 0 zeros, t text, anything else noise of its own."""
    made = {"0": bytes(CUT), "t": (b"all work and no play " * CUT)[:CUT]}
    body = b"".join(made.get(one) or random.Random(one).randbytes(CUT) for one in blocks)
    return body + random.Random("tail").randbytes(tail)


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank()


def reader(bank: MemoryBank | FaultyBank) -> StreamReader:
    return StreamReader(Section(bank, "s"))


def write(bank: MemoryBank, body: bytes, name: str = "image") -> StreamManifest:
    return write_stream(Section(bank, "s"), name, body, block=CUT, page=PAGE,
                        hashes=["md5", "sha512"])


def names(bank: MemoryBank, prefix: str) -> list[str]:
    return [one.key for one in bank.list(f"s/{prefix}")]


@pytest.mark.parametrize("body", [
    b"", b"x", disk("a"), disk("a", 1), disk("0"), bytes(CUT + 5), disk("abcd"), disk("abcde", 999),
    disk("a000b0", 3), disk("0" * 9), disk("0" * 9) + bytes(3), disk("ttt0aaa00000tb")])
def test_what_was_kept_comes_back(bank: MemoryBank, body: bytes) -> None:
    manifest = write(bank, body)
    assert manifest.checksums == {"blake3": blake3(body).hexdigest(),
                                  "md5": hashlib.md5(body).hexdigest(),
                                  "sha512": hashlib.sha512(body).hexdigest()}
    assert reader(bank).open("image", manifest.facts()) == manifest
    assert b"".join(reader(bank).read(manifest)) == body
    for offset in (1, CUT - 1, CUT, CUT + 1, len(body) - 1, len(body)):
        if 0 <= offset <= len(body):
            assert b"".join(reader(bank).read(manifest, offset)) == body[offset:]
    assert reader(bank).check(manifest) == len(body)


@pytest.mark.parametrize("how", ["flip", "cut"])
def test_damage_names_the_object(bank: MemoryBank, how: str) -> None:
    manifest = write(bank, disk("abtdef"))
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
    assert reader(bank).check(manifest) == manifest.size


def reading(bank: MemoryBank | FaultyBank) -> None:
    reader(bank).check(reader(bank).open("image"))


@pytest.mark.parametrize("how", [How.FLIP, How.TRUNCATE])
@pytest.mark.parametrize("blocks", ["abadef", "tttttt"])
def test_bytes_changed_on_the_way_are_noticed_without_the_banks_help(
        bank: MemoryBank, how: How, blocks: str) -> None:
    manifest = write(bank, disk(blocks))
    for nth in range(1, 7):
        lying = FaultyBank(bank, Fault("get", how, nth=nth, key="/pieces/"))
        with pytest.raises(ObjectDamaged, match=r"image/pieces/0000000/000000000\d-"):
            reader(lying).check(manifest)
    lying = FaultyBank(bank, Fault("get", how, key="/pages/"))
    with pytest.raises(ObjectDamaged, match="image/pages/0000000000-"):
        reader(lying).check(manifest)


def test_a_swapped_piece_is_noticed(bank: MemoryBank) -> None:
    write(bank, disk("ab"))
    one, two = names(bank, "image/pieces/")
    body = b"".join(bank.get(one))
    bank.put(two, [body])       # a good object, but not that one
    with pytest.raises(ObjectDamaged, match=two.removeprefix("s/")):
        reading(bank)


def test_a_manifest_put_in_anothers_place_is_noticed(bank: MemoryBank) -> None:
    facts = write(bank, disk("ab")).facts()
    write(bank, disk("cd"), "image2")
    bank.put("s/image/manifest.json", bank.get("s/image2/manifest.json"))
    with pytest.raises(ObjectDamaged):
        reader(bank).open("image")
    bank.delete(names(bank, "image/"))
    with pytest.raises(ObjectMissing):
        reader(bank).open("image")
    write(bank, disk("cd"))
    with pytest.raises(ObjectDamaged, match="not the one the checkpoint names"):
        reader(bank).open("image", facts)


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
    write(bank, disk("abcdef"))
    change(bank, "s/image/manifest.json", edit)
    with pytest.raises(ObjectDamaged, match=r"image/manifest\.json"):
        reader(bank).find("image")


def test_a_wrong_whole_checksum_is_noticed(bank: MemoryBank) -> None:
    write(bank, disk("ab"))
    change(bank, "s/image/manifest.json", lambda raw: raw.update(checksums={"blake3": "00" * 32}))
    with pytest.raises(ObjectDamaged, match="are not those of its pieces"):
        reading(bank)


def test_a_newer_format_is_said(bank: MemoryBank) -> None:
    write(bank, disk("ab"))
    change(bank, "s/image/manifest.json", lambda raw: raw.update(format=2))
    with pytest.raises(NewerFormat, match="stream format 2"):
        reader(bank).find("image")


def test_a_check_stops_and_goes_on(bank: MemoryBank) -> None:
    manifest = write(bank, disk("abcdef", 5))
    done: list[int] = []
    assert reader(bank).check(manifest, stop=lambda: True, progress=done.append) == CUT
    assert reader(bank).check(manifest, CUT, progress=done.append) == manifest.size
    assert done == [*(number * CUT for number in range(1, 7)), manifest.size]
