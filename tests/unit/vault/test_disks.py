"""Disks are kept in a vault, each chunk once, and read back exactly."""

import hashlib
import json
from collections.abc import Callable

import pytest
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
from karbor.vault import DiskVault, Paused, disk_writer, pack_writer
from karbor.vault.blocks import BLOCK_BYTES, CHUNK_BYTES
from karbor.vault.disk_map import PAGE_SPAN_BYTES
from karbor.vault.lease import DEAD_SECONDS, RENEWAL_SECONDS, LeaseLost, declare_dead, leases
from tests.unit.vault.disks import (
    PROJECT,
    Source,
    changed,
    delete_checkpoint,
    disk,
    keep,
    kept,
    keys_below,
    location,
    noise,
    packs,
    read,
    section_of,
    stop_after,
    stored_bytes,
    vault,
)

CHUNK = CHUNK_BYTES


@pytest.fixture
def bank() -> MemoryBank:
    return MemoryBank()


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several packs for a disk of some MiB, and a note after every page."""
    monkeypatch.setattr(pack_writer, "PACK_BYTES", 8 * CHUNK)
    monkeypatch.setattr(disk_writer, "PAGES_BETWEEN_NOTES", 1)


# ---------------------------------------------------------------------- there and back
@pytest.mark.parametrize("body", [
    b"", b"x", disk("a"), disk("a", 1), disk("0"), bytes(CHUNK + 5), disk("abcd"),
    disk("abcde", 999), disk("a000b0", 3), disk("0" * 70), disk("0" * 70) + bytes(3),
    disk("ttt0aaa00000tb" * 6), disk("ab" + "0" * 1100 + "c", 7), disk("0" * 2048 + "z")],
    ids=range(14))
def test_what_is_kept_comes_back(bank: MemoryBank, body: bytes) -> None:
    done: list[int] = []
    sha512 = hashlib.sha512(body).hexdigest()
    stored = kept(vault(bank).store("image", Source(body), size=len(body), hashes=["md5"],
                                    expected={"sha512": sha512}, progress=done.append))
    assert stored.size == len(body)
    assert stored.checksums == {"md5": hashlib.md5(body).hexdigest(), "sha512": sha512}
    assert done == sorted(done)
    assert done[-1:] == ([len(body)] if body else [])
    opened = vault(bank).open("image", stored.facts())
    assert b"".join(opened.read()) == body
    for offset in (1, CHUNK - 1, CHUNK, CHUNK + 1, BLOCK_BYTES, len(body) - 1, len(body)):
        if 0 <= offset <= len(body):
            assert b"".join(opened.read(offset)) == body[offset:]
            assert b"".join(opened.read(offset, 70_000)) == body[offset:offset + 70_000]
    assert opened.check() == len(body)


def test_a_disk_of_unknown_size_is_kept_too(bank: MemoryBank) -> None:
    body = disk("abcdefgh", 5)
    assert kept(vault(bank).store("image", Source(body))).size == len(body)
    assert read(bank, name="image") == body


def test_zeros_are_not_stored_and_text_is_compressed(bank: MemoryBank) -> None:
    stored = keep(bank, disk("0t0a00"))
    assert stored.manifest.data_bytes == 2 * CHUNK
    assert CHUNK < stored_bytes(bank) < CHUNK + 1000
    assert stored.manifest.added_bytes == stored_bytes(bank)


def test_extents_tell_zeros_without_bytes(bank: MemoryBank) -> None:
    stored = keep(bank, disk("0a00bb" + "0" * 3000 + "c"))
    told = [(one.offset // CHUNK, one.size // CHUNK, one.body is None) for one in stored.extents()]
    data = [one for one in told if not one[2]]
    assert data == [(1, 1, False), (4, 2, False), (3006, 1, False)]
    assert sum(one[1] for one in told) == 3007


def test_disks_of_one_section_do_not_meet(bank: MemoryBank) -> None:
    keep(bank, disk("ab"), name="one")
    keep(bank, disk("cd"), name="two")
    assert (read(bank, name="one"), read(bank, name="two")) == (disk("ab"), disk("cd"))
    assert [one.size for one in vault(bank).all()] == [2 * CHUNK, 2 * CHUNK]
    with pytest.raises(BadInput):
        vault(bank).store("../one", Source(disk("ab")))


def test_a_kept_disk_is_not_asked_for_again(bank: MemoryBank) -> None:
    keep(bank, disk("abc"))
    source = Source(disk("other"))
    assert kept(vault(bank).store("bytes", source)).size == 3 * CHUNK
    assert source.opened == []


# ---------------------------------------------------------------------- each chunk once
def test_an_unchanged_disk_adds_nothing(bank: MemoryBank) -> None:
    body = noise("one", 2100)
    first = keep(bank, body, "c1")
    before = stored_bytes(bank)
    second = keep(bank, body, "c2")
    assert stored_bytes(bank) == before
    assert second.manifest.added_bytes == 0
    assert second.manifest.pages == first.manifest.pages
    assert second.manifest.root == first.manifest.root
    assert read(bank, "c2") == body


def test_a_change_adds_itself_and_its_pages(bank: MemoryBank) -> None:
    body = noise("one", 2100)
    keep(bank, body, "c1")
    before = stored_bytes(bank)
    now = changed(body, [3, 1500], "new")
    keep(bank, now, "c2")
    assert 2 * CHUNK < stored_bytes(bank) - before < 2 * CHUNK + 2 * 40_000
    assert read(bank, "c2") == now
    assert read(bank, "c1") == body


def test_equal_chunks_of_one_disk_are_stored_once(bank: MemoryBank) -> None:
    keep(bank, disk("a" * 300 + "b"))
    assert stored_bytes(bank) < 4 * CHUNK


def test_equal_disks_have_one_root_wherever_their_chunks_lie(bank: MemoryBank) -> None:
    one = keep(bank, disk("abcd"), "c1", index=None)
    keep(bank, disk("dcba"), "c2")
    assert keep(bank, disk("abcd"), "c3").manifest.root == one.manifest.root
    assert keep(bank, disk("abcd0"), "c4").manifest.root != one.manifest.root
    assert keep(bank, disk("abdc"), "c5").manifest.root != one.manifest.root


def test_any_checkpoint_may_go(bank: MemoryBank) -> None:
    bodies = {"c1": disk("abcdef"), "c2": disk("abXdef"), "c3": disk("abXdYf")}
    for checkpoint, body in bodies.items():
        keep(bank, body, checkpoint)
    delete_checkpoint(bank, "c2")
    assert read(bank, "c1") == bodies["c1"]
    assert read(bank, "c3") == bodies["c3"]


def test_two_vaults_of_one_bank_do_not_meet(bank: MemoryBank) -> None:
    keep(bank, disk("abc"))
    other = DiskVault(location(bank).__class__(section_of(bank).__class__(bank, "projects/q")),
                      section_of(bank, "c9"))
    kept(other.store("bytes", Source(disk("abc"))))
    theirs = [one.key for one in bank.list("projects/q/vault/packs/")]
    assert len(theirs) == len(packs(bank))
    bank.put(f"{PROJECT}/resources/c2/image-1/bytes/disk.json",
             bank.get(f"{PROJECT}/resources/c9/image-1/bytes/disk.json"))
    with pytest.raises(ObjectDamaged, match="belongs to another vault"):
        vault(bank, "c2").open("bytes")


# ---------------------------------------------------------------------- it stops, breaks, goes on
def test_a_stop_goes_on_later(bank: MemoryBank) -> None:
    body = noise("one", 3000)
    paused = vault(bank).store("bytes", Source(body), size=len(body), hashes=["sha512"],
                               stop=stop_after(40))
    assert paused == Paused(2 * PAGE_SPAN_BYTES)
    assert leases(location(bank).section) == []
    before = set(packs(bank))
    source = Source(body)
    stored = kept(vault(bank).store("bytes", source, size=len(body), hashes=["sha512"]))
    assert source.opened == [2 * PAGE_SPAN_BYTES]
    assert stored.checksums == {"sha512": hashlib.sha512(body).hexdigest()}
    assert before <= set(packs(bank))
    assert read(bank) == body
    assert keys_below(bank, "resources/c1/image-1/bytes/") == [
        f"{PROJECT}/resources/c1/image-1/bytes/disk.json"]


def test_a_stop_while_reading_back_loses_nothing(bank: MemoryBank) -> None:
    body = noise("one", 3000)
    vault(bank).store("bytes", Source(body), size=len(body), hashes=["md5"], stop=stop_after(40))
    source = Source(body)
    assert vault(bank).store("bytes", source, size=len(body), hashes=["md5"],
                             stop=lambda: True) == Paused(2 * PAGE_SPAN_BYTES)
    assert source.opened == []
    kept(vault(bank).store("bytes", source, size=len(body), hashes=["md5"]))
    assert source.opened == [2 * PAGE_SPAN_BYTES]


@pytest.mark.parametrize("breaks_at", [0, 5, CHUNK, PAGE_SPAN_BYTES, PAGE_SPAN_BYTES + 70 * CHUNK])
def test_a_broken_stream_goes_on_where_it_was_noted(bank: MemoryBank, breaks_at: int) -> None:
    body = noise("one", 1200)
    broken = Source(body, breaks_at=breaks_at)
    with pytest.raises(CloudUnavailable, match="the line is dead"):
        vault(bank).store("bytes", broken, size=len(body))
    assert broken.closed == 1
    before = stored_bytes(bank)
    source = Source(body)
    kept(vault(bank).store("bytes", source, size=len(body)))
    assert source.opened == [breaks_at // PAGE_SPAN_BYTES * PAGE_SPAN_BYTES]
    assert read(bank) == body
    assert stored_bytes(bank) - before <= len(body) - breaks_at + BLOCK_BYTES + 200_000


@pytest.mark.parametrize("how", [How.BEFORE, How.AFTER, How.TRUNCATE], ids=str)
@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8, 20, 39])
def test_a_bank_that_fails_at_any_write_is_gone_on_with(bank: MemoryBank, nth: int, how: How
                                                        ) -> None:
    body = noise("one", 240)
    faulty = FaultyBank(bank, Fault("put", how, nth=nth))
    source = Source(body)
    for _ in range(3):
        try:
            stored = kept(vault(faulty).store("bytes", source, size=len(body)))
        except (BankUnavailable, BankFull):
            continue
        break
    assert b"".join(stored.read()) == body
    assert read(bank) == body
    assert leases(location(bank).section) == []


def test_a_full_bank_in_the_middle_of_a_disk_is_said_as_it_is(bank: MemoryBank) -> None:
    class Full(FaultyBank):
        def put(self, key, body, *, absent=False):  # type: ignore[no-untyped-def]
            if "/packs/" in key and len(packs(bank)) >= 3:
                raise BankFull("no space is left")
            return super().put(key, body, absent=absent)

    body = noise("one", 240)
    with pytest.raises(BankFull):
        vault(Full(bank)).store("bytes", Source(body), size=len(body))
    assert vault(bank).find("bytes") is None
    source = Source(body)
    kept(vault(bank).store("bytes", source, size=len(body)))
    assert read(bank) == body


def test_a_stream_that_ends_early_is_never_complete(bank: MemoryBank) -> None:
    body = disk("abcdef")
    for came in (0, 5, 2 * CHUNK, len(body) - 1):
        with pytest.raises(CloudUnavailable, match=f"ended after {came} of {len(body)} bytes"):
            vault(bank).store("bytes", Source(body[:came]), size=len(body))
        assert vault(bank).find("bytes") is None
    kept(vault(bank).store("bytes", Source(body), size=len(body)))
    assert read(bank) == body


def test_a_stream_that_is_too_long_is_refused(bank: MemoryBank) -> None:
    with pytest.raises(RemoteFailed, match="longer than the 5 bytes"):
        vault(bank).store("bytes", Source(b"123456"), size=5)
    assert vault(bank).find("bytes") is None


def test_a_stream_with_another_checksum_does_not_count(bank: MemoryBank) -> None:
    good = noise("one", 1100)
    bad = changed(good, [3], "bad")
    expected = {"sha512": hashlib.sha512(good).hexdigest()}
    with pytest.raises(CloudUnavailable, match="came with the sha512 checksum"):
        vault(bank).store("bytes", Source(bad), size=len(good), expected=expected)
    source = Source(good)
    kept(vault(bank).store("bytes", source, size=len(good), expected=expected))
    assert source.opened == [0]
    assert read(bank) == good


def test_what_was_begun_of_another_size_is_no_beginning(bank: MemoryBank) -> None:
    long, short = noise("long", 1500), noise("short", 1100)
    with pytest.raises(CloudUnavailable):
        vault(bank).store("bytes", Source(long, breaks_at=1400 * CHUNK), size=len(long))
    source = Source(short)
    kept(vault(bank).store("bytes", source, size=len(short)))
    assert source.opened == [0]
    assert read(bank) == short


@pytest.mark.parametrize("harm", ["gone", "flipped", "condemned"])
def test_what_was_begun_on_packs_that_are_bad_is_read_again(bank: MemoryBank, harm: str) -> None:
    body = noise("one", 1200)
    with pytest.raises(CloudUnavailable):
        vault(bank).store("bytes", Source(body, breaks_at=1100 * CHUNK), size=len(body),
                          hashes=["md5"])
    victim = min(packs(bank), key=lambda key: key.rsplit("/", 1)[1])    # of the first page
    if harm == "gone":
        bank.delete([victim])
    elif harm == "flipped":
        bank.damage(victim, "flip")
    else:
        from karbor.vault.lease import Condemnation

        condemned = Condemnation("x", (bytes.fromhex(victim.rsplit("/", 1)[1]),), 0.0)
        location(bank).section.put(condemned.key, [condemned.body()])
    source = Source(body)
    stored = kept(vault(bank).store("bytes", source, size=len(body), hashes=["md5"]))
    assert source.opened == [0]
    if harm == "condemned":
        bank.delete([victim])
        assert b"".join(stored.read()) == body


def test_two_that_finish_the_same_disk_agree(bank: MemoryBank) -> None:
    body = disk("abcdef")

    def meanwhile(offset: int) -> list[bytes]:
        keep(bank, body)
        return [body[offset:]]

    stored = kept(vault(bank).store("bytes", meanwhile, size=len(body)))
    assert b"".join(stored.read()) == body


def test_two_disks_of_one_name_do_not(bank: MemoryBank) -> None:
    def meanwhile(offset: int) -> list[bytes]:
        keep(bank, disk("ab"))
        return [disk("cd")]

    with pytest.raises(ObjectDamaged, match="names another disk"):
        vault(bank).store("bytes", meanwhile)
    assert read(bank) == disk("ab")


# ---------------------------------------------------------------------- leases
def test_a_lease_that_was_declared_dead_keeps_nothing(bank: MemoryBank) -> None:
    section = location(bank).section
    body = disk("abcdef")

    def source(offset: int) -> list[bytes]:
        [lease] = leases(section)
        declare_dead(section, lease, 0.0)
        return [body[offset:]]

    with pytest.raises(LeaseLost, match="was declared dead") as caught:
        vault(bank).store("bytes", source)
    assert caught.value.transient
    assert vault(bank).find("bytes") is None
    assert kept(vault(bank).store("bytes", Source(body))).size == len(body)


def test_a_lease_declared_dead_at_the_last_moment_withdraws_the_disk(bank: MemoryBank) -> None:
    section = location(bank).section

    class Late(FaultyBank):
        def put(self, key, body, *, absent=False):  # type: ignore[no-untyped-def]
            stored = super().put(key, body, absent=absent)
            if key.endswith("/disk.json"):
                declare_dead(section, leases(section)[0], 0.0)
            return stored

    with pytest.raises(LeaseLost):
        vault(Late(bank)).store("bytes", Source(disk("abc")))
    assert vault(bank).find("bytes") is None


def test_a_lease_is_renewed_while_the_disk_is_written(bank: MemoryBank) -> None:
    section, now = location(bank).section, [1000.0]
    renewals = []

    def source(offset: int) -> list[bytes]:
        for block in range(6):
            now[0] += RENEWAL_SECONDS
            yield noise(str(block), 64)
            renewals.append(leases(section)[0].renewed_at)

    kept(vault(bank, clock=lambda: now[0]).store("bytes", source))
    assert len(set(renewals)) >= 3


def test_a_writer_that_slept_too_long_gives_up(bank: MemoryBank) -> None:
    now = [1000.0]

    def source(offset: int) -> list[bytes]:
        yield noise("a", 64)
        now[0] += DEAD_SECONDS
        yield noise("b", 640)

    with pytest.raises(LeaseLost, match="not renewed for too long"):
        vault(bank, clock=lambda: now[0]).store("bytes", source)


# ---------------------------------------------------------------------- reading what is damaged
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_damage_anywhere_is_found_and_named(bank: MemoryBank, how: str) -> None:
    body = noise("one", 40)
    keep(bank, body)
    for victim in packs(bank):
        before = b"".join(bank.get(victim))
        if how == "gone":
            bank.delete([victim])
        else:
            bank.damage(victim, how)
        with pytest.raises((ObjectDamaged, ObjectMissing), match=victim.rsplit("/", 1)[1]):
            vault(bank).open("bytes").check()
        bank.put(victim, [before])
    assert vault(bank).open("bytes").check() == len(body)


def test_what_a_damaged_pack_held_is_stored_anew_by_the_next_protect(bank: MemoryBank) -> None:
    body = noise("one", 40)
    keep(bank, body, "c1")
    bank.damage(packs(bank)[0], "flip")
    with pytest.raises(ObjectDamaged):
        vault(bank, "c1").open("bytes").check()
    assert keep(bank, body, "c2").check() == len(body)


def test_every_flipped_bit_is_found(bank: MemoryBank) -> None:
    """The bank's own checksum does not help: parts of objects are read."""
    body = disk("t")
    keep(bank, body)
    [pack] = packs(bank)
    raw = b"".join(bank.get(pack))
    for at in range(0, len(raw), 7):
        flipped = bytearray(raw)
        flipped[at] ^= 16
        bank.put(pack, [bytes(flipped)])
        try:
            assert read(bank) == body       # a bit that means nothing
            assert at >= len(raw) - 64
        except (ObjectDamaged, ObjectMissing, NewerFormat):
            pass


def change(bank: MemoryBank, key: str, edit: Callable[[dict[str, object]], object]) -> None:
    raw = json.loads(b"".join(bank.get(key)))
    edit(raw)
    bank.put(key, [json.dumps(raw).encode()])


@pytest.mark.parametrize("edit", [
    lambda raw: raw.pop("size"), lambda raw: raw.update(kind="soup"),
    lambda raw: raw.update(size=-1), lambda raw: raw.update(size="many"),
    lambda raw: raw["pages"].pop(), lambda raw: raw["pages"].append(None),
    lambda raw: raw.update(checksums=3), lambda raw: raw.update(format="one"),
    lambda raw: raw.update(name="other"), lambda raw: raw.update(signature="00"),
    lambda raw: raw.update(root="00"), lambda raw: raw.update(extra=1)])
def test_a_changed_manifest_is_damaged(
        bank: MemoryBank, edit: Callable[[dict[str, object]], object]) -> None:
    keep(bank, disk("abcdef"))
    change(bank, f"{PROJECT}/resources/c1/image-1/bytes/disk.json", edit)
    with pytest.raises(ObjectDamaged, match=r"bytes/disk\.json"):
        vault(bank).find("bytes")


def test_a_manifest_put_in_anothers_place_is_noticed(bank: MemoryBank) -> None:
    facts = keep(bank, disk("ab"), "c1").facts()
    keep(bank, disk("cd"), "c2")
    here, there = (f"{PROJECT}/resources/{one}/image-1/bytes/disk.json" for one in ("c1", "c2"))
    bank.put(here, bank.get(there))
    with pytest.raises(ObjectDamaged, match="not the one that the checkpoint names"):
        vault(bank).open("bytes", facts)
    bank.delete([here])
    with pytest.raises(ObjectMissing, match=r"bytes/disk\.json"):
        vault(bank).open("bytes", facts)


@pytest.mark.parametrize("key", ["vault/vault.json", "resources/c1/image-1/bytes/disk.json"])
def test_a_newer_format_is_said(bank: MemoryBank, key: str) -> None:
    keep(bank, disk("ab"))
    change(bank, f"{PROJECT}/{key}", lambda raw: raw.update(format=3))
    with pytest.raises(NewerFormat, match="format 3, this Karbor reads 2"):
        vault(bank).find("bytes")


def test_a_newer_pack_is_said(bank: MemoryBank) -> None:
    keep(bank, disk("ab"))
    [pack] = packs(bank)
    raw = bytearray(b"".join(bank.get(pack)))
    raw[-64 + 9] = 3
    bank.put(pack, [bytes(raw)])
    with pytest.raises(NewerFormat, match="pack format 3"):
        read(bank)


def test_a_check_stops_and_goes_on(bank: MemoryBank) -> None:
    body = noise("one", 200)
    stored = keep(bank, body)
    done: list[int] = []
    reached = stored.check(stop=lambda: True, progress=done.append)
    assert 0 < reached < len(body)
    assert stored.check(reached, progress=done.append) == len(body)
    assert done == sorted(set(done))
