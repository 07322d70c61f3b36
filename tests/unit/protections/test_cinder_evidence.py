"""What the read-back of a Cinder backup proves, and every way in which it must refuse to."""

from __future__ import annotations

import bz2
import hashlib
import json
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest

from karbor.domain.errors import CloudForbidden, CloudNotFound, CloudUnauthorized, KarborError
from karbor.domain.resource import VOLUME, Resource
from karbor.domain.step import Again, Done, Failed
from karbor.protections.cinder import evidence, swift_listing
from karbor.protections.cinder.evidence import ReadBack
from tests.unit.protections.scripted import ScriptedApi, ScriptedCloud, StepOf

UNIT = 1000         # bytes of a "GiB" in these tests
BLOCK = 10
RESOURCE = Resource(VOLUME, "vol", "data")


@pytest.fixture(autouse=True)
def _small_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "GIB", UNIT)


class Swift(ScriptedApi):
    """An account with one container; written as Cinder's chunked driver writes."""

    def __init__(self) -> None:
        super().__init__("swift", {}, [])
        self.objects: dict[str, bytes] = {}
        self.hidden: set[str] = set()       # objects that the listing does not have yet
        self.page = 10000                   # what it gives at once
        self.lists: list[dict[str, Any]] = []

    def get(self, path: str, *, params: Any = None, version: Any = None) -> list[Any]:
        assert "limit" not in params        # it would be refused where less is configured
        return self._page(path, params)[:self.page]

    def _page(self, path: str, params: Any) -> list[Any]:
        self.lists.append(dict(params))
        if path != "/volumebackups":
            raise CloudNotFound("no such container")
        names = sorted(one for one in self.objects
                       if one.startswith(params["prefix"]) and one not in self.hidden
                       and one > params.get("marker", ""))
        if "delimiter" in params:
            cut = len(params["prefix"])
            return [{"subdir": sub} for sub in dict.fromkeys(
                name[:name.index("/", cut) + 1] for name in names)
                if sub > params.get("marker", "")]
        return [{"name": one, "bytes": len(self.objects[one]),
                 "hash": hashlib.md5(self.objects[one]).hexdigest()} for one in names]

    def _object(self, path: str) -> bytes:
        name = unquote(path.removeprefix("/volumebackups/"))
        if name not in self.objects:
            raise CloudNotFound(f"no object {name}")
        return self.objects[name]

    def head(self, path: str) -> dict[str, str]:
        body = self._object(path)
        return {"content-length": str(len(body)),
                "etag": f'"{hashlib.md5(body).hexdigest()}"'}

    def download(self, path: str, *, offset: int = 0, size: int | None = None) -> Any:
        return iter([self._object(path)])

    def write(self, backup: str, data: bytes, chunks: list[tuple[int, int]] | None = None, *,
              time: str = "20260102030405", compression: str = "none", hashed: int | None = None,
              parent: str | None = None, **metadata: Any) -> str:
        """As the driver does it: `chunks` are (offset, end); the whole by default."""
        prefix = f"volume_vol/{time}/az_nova_backup_{backup}"
        press: Callable[[bytes], bytes] = {
            "none": bytes, "zlib": zlib.compress, "bz2": bz2.compress}[compression]
        listed = []
        for number, (start, end) in enumerate(chunks or [(0, 500), (500, len(data))], 1):
            name, part = f"{prefix}-{number:05d}", data[start:end]
            self.objects[name] = press(part)
            listed.append({name: {"offset": start, "length": len(part), "compression": compression,
                                  "md5": hashlib.md5(part).hexdigest()}})
        self.objects[f"{prefix}_metadata"] = json.dumps({
            "version": "1.0.0", "backup_id": backup, "volume_id": "vol", "objects": listed,
            "parent_id": parent, **metadata}).encode()
        sums = ["0" * 64] * -(-(len(data) if hashed is None else hashed) // BLOCK)
        self.objects[f"{prefix}_sha256file"] = json.dumps({
            "backup_description": 'a "chunk_size": 7 in words', "chunk_size": BLOCK,
            "sha256s": sums}, sort_keys=True, indent=2).encode()
        return prefix


def cloud(swift: Swift | None, **statuses: str) -> ScriptedCloud:
    def shown(id: str, status: str) -> dict[str, Any]:
        return {"backup": {"id": id, "status": status, "container": "volumebackups",
                           "volume_id": "vol", "created_at": "2026-01-02T03:04:05.000000"}}

    made = ScriptedCloud(cinder={f"GET /backups/{id}": shown(id, status)
                                 for id, status in (statuses or {"bak": "available"}).items()})
    if swift:
        made.apis["swift"] = swift
    return made


def run(of: ScriptedCloud, before: Any = None) -> Any:
    kept = {"backup": {"id": "bak", "snapshot_size": 1}}
    if before:
        kept["read_back"] = before
    try:
        return ReadBack().run(StepOf(RESOURCE, of, kept=kept))
    except KarborError as error:        # the driver makes the same of it
        return Failed(error)


def refused(outcome: Any) -> str:
    assert isinstance(outcome, Failed), outcome
    return type(outcome.error).__name__ + ": " + outcome.error.message


DATA = bytes(range(250)) * 4        # 1000 bytes: one "GiB"


@pytest.mark.parametrize("compression", ["none", "zlib", "bz2"])
def test_a_whole_backup_is_proved_by_its_objects(compression: str) -> None:
    swift = Swift()
    prefix = swift.write("bak", DATA, compression=compression)
    swift.write("other", DATA, time="20250101000000")
    done = run(cloud(swift))
    assert isinstance(done, Done)
    assert done.saved["evidence"] == "objects"
    assert [(one["backup"], one["prefix"], one["objects"]) for one in done.saved["chain"]] == [
        ("bak", prefix, 2)]
    assert isinstance(run(cloud(swift), done.saved), Done)      # and the same at a later verify


def test_two_backups_begun_in_one_second_are_told_apart() -> None:
    swift = Swift()
    swift.write("bak", DATA)
    swift.write("twin", DATA)
    assert len(run(cloud(swift)).saved["chain"]) == 1


def test_an_incremental_backup_is_proved_with_all_it_is_built_upon() -> None:
    swift = Swift()
    swift.write("full", DATA, time="20260101000000")
    swift.write("bak", DATA, [(200, 300), (700, 710)], parent="full")
    done = run(cloud(swift, bak="available", full="available"))
    assert [one["backup"] for one in done.saved["chain"]] == ["bak", "full"]


@pytest.mark.parametrize(("parent", "message"), [
    (None, "ObjectMissing: backup full, on which bak is built, is gone or not this project's"),
    ("error", "ObjectDamaged: backup full, on which others are built, is error")])
def test_an_incremental_backup_without_its_parent_is_worth_nothing(
        parent: str | None, message: str) -> None:
    swift = Swift()
    swift.write("full", DATA, time="20260101000000")
    swift.write("bak", DATA, [(200, 300)], parent="full")
    statuses = {"bak": "available"} | ({"full": parent} if parent else {})
    assert refused(run(cloud(swift, **statuses))) == message


def test_damage_in_the_parent_is_found_too() -> None:
    swift = Swift()
    prefix = swift.write("full", DATA, time="20260101000000")
    swift.write("bak", DATA, [(200, 300)], parent="full")
    del swift.objects[f"{prefix}-00002"]
    assert f"no object {prefix}-00002" in refused(
        run(cloud(swift, bak="available", full="available")))


def test_a_missing_object_is_found() -> None:
    swift = Swift()
    prefix = swift.write("bak", DATA)
    del swift.objects[f"{prefix}-00001"]
    assert refused(run(cloud(swift))) == f"ObjectMissing: Swift has no object {prefix}-00001"


def test_an_object_that_the_listing_does_not_have_yet_is_asked_for_itself() -> None:
    swift = Swift()
    prefix = swift.write("bak", DATA)
    swift.hidden = {f"{prefix}-00002"}
    assert run(cloud(swift)).saved["evidence"] == "objects"


@pytest.mark.parametrize("damage", [b"x" * 500, b"short", b""])
def test_a_changed_object_is_found(damage: bytes) -> None:
    swift = Swift()
    prefix = swift.write("bak", DATA)
    swift.objects[f"{prefix}-00001"] = damage
    assert "does not fit its description" in refused(run(cloud(swift)))


def test_a_changed_compressed_object_is_found_by_comparing_with_the_protect() -> None:
    swift = Swift()
    prefix = swift.write("bak", DATA, compression="zlib")
    before = run(cloud(swift)).saved
    swift.objects[f"{prefix}-00001"] = swift.objects[f"{prefix}-00001"][:-1] + b"!"
    assert "not those that were there" in refused(run(cloud(swift), before))


def test_an_object_too_many_is_found_since_cinder_would_not_restore_it() -> None:
    swift = Swift()
    prefix = swift.write("bak", DATA)
    swift.objects[f"{prefix}-00009"] = b"?"
    assert "does not name" in refused(run(cloud(swift)))


@pytest.mark.parametrize("hashed", [100, 1000])
def test_one_layer_of_a_qcow2_chain_is_not_the_volume(hashed: int) -> None:
    swift = Swift()
    swift.write("bak", b"QFI\xfb" + b"\0" * 96, [(0, 100)], hashed=hashed)
    assert "holds 100 bytes of a volume of 1000" in refused(run(cloud(swift)))


def test_a_full_layer_of_a_qcow2_chain_is_not_the_volume_either() -> None:
    swift = Swift()
    overlay = b"QFI\xfb\0\0\0\3" + (104).to_bytes(8, "big")
    swift.write("bak", overlay + b"x" * 1000, compression="zlib")
    assert "upper layer of a qcow2 image" in refused(run(cloud(swift)))


def test_a_volume_that_holds_a_whole_qcow2_image_is_fine() -> None:
    swift = Swift()
    swift.write("bak", b"QFI\xfb\0\0\0\3" + bytes(8) + b"x" * 1000)
    assert isinstance(run(cloud(swift)), Done)


def test_an_incremental_of_one_layer_is_known_by_its_list_of_checksums() -> None:
    swift = Swift()
    swift.write("full", DATA, time="20260101000000")
    swift.write("bak", DATA, [(0, 50)], parent="full", hashed=200)
    assert "has checksums for" in refused(run(cloud(swift, bak="available", full="available")))


@pytest.mark.parametrize("chunks", [[(0, 400), (500, 1000)], [(0, 600), (500, 1000)],
                                    [(100, 1000)]])
def test_gaps_and_overlaps_are_found(chunks: list[tuple[int, int]]) -> None:
    swift = Swift()
    swift.write("bak", DATA, chunks)
    assert "a gap or an overlap" in refused(run(cloud(swift)))


@pytest.mark.parametrize("field", ["backup_id", "volume_id"])
def test_a_description_of_something_else_is_found(field: str) -> None:
    swift = Swift()
    swift.write("bak", DATA, **{field: "other"})
    assert field in refused(run(cloud(swift)))


def test_a_description_that_is_no_json_is_found() -> None:
    swift = Swift()
    prefix = swift.write("bak", DATA)
    swift.objects[f"{prefix}_metadata"] = b"{"
    assert "is not JSON" in refused(run(cloud(swift)))


def unproved(outcome: Any) -> str:
    assert isinstance(outcome, Done), outcome
    assert outcome.saved["evidence"] == "status"
    return str(outcome.saved["unproved"])


def test_what_cannot_be_seen_is_not_claimed() -> None:
    assert "no Swift" in unproved(run(cloud(None)))
    elsewhere = cloud(Swift())
    assert "has nothing of this backup" in unproved(run(elsewhere))
    swift = Swift()
    swift.write("bak", DATA, version="9.0")
    assert "unknown version 9.0" in unproved(run(cloud(swift)))


def test_a_container_of_others_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*args: Any, **options: Any) -> Any:
        raise CloudForbidden("no")
    swift = Swift()
    monkeypatch.setattr(swift, "get", closed)
    assert "may not be read" in unproved(run(cloud(swift)))


def test_what_could_be_seen_before_must_still_be_seen() -> None:
    swift = Swift()
    swift.write("bak", DATA)
    before = run(cloud(swift)).saved
    swift.objects.clear()
    assert refused(run(cloud(swift), before)).startswith("ObjectMissing: the objects of backup bak")


@pytest.mark.parametrize(("status", "expected"), [("creating", Again), ("restoring", Again),
                                                  ("error", Failed), ("deleting", Failed)])
def test_only_an_available_backup_proves_anything(status: str, expected: type) -> None:
    assert isinstance(run(cloud(Swift(), bak=status)), expected)


def test_a_backup_that_cinder_has_lost_is_an_error() -> None:
    assert refused(run(cloud(Swift(), other="available"))) == (
        "ObjectMissing: Cinder has no backup bak any more")


# ------------------------------------------------------------------ how many lists it takes
def test_backups_that_end_together_share_one_list_of_the_container() -> None:
    swift = Swift()
    of = cloud(swift, **{f"bak{n}": "available" for n in range(20)})
    for n in range(20):
        swift.write(f"bak{n}", DATA, time=f"202601020304{n:02d}")
    for n in range(20):
        kept = {"backup": {"id": f"bak{n}", "snapshot_size": 1}}
        assert isinstance(ReadBack().run(StepOf(RESOURCE, of, kept=kept)), Done)
    assert len(swift.lists) == 2        # the list, and the empty page at its end


def test_a_backup_that_ended_after_the_list_is_looked_for_in_a_later_one() -> None:
    swift = Swift()
    swift.write("bak", DATA)
    of = cloud(swift, bak="available", late="available")
    assert isinstance(run(of), Done)
    swift.write("late", DATA, time="20260102040000")
    late = ReadBack().run(StepOf(RESOURCE, of, kept={"backup": {"id": "late", "snapshot_size": 1}}))
    assert isinstance(late, Done)
    assert late.saved["evidence"] == "objects"
    assert len(swift.lists) == 4


def test_of_a_large_container_only_what_is_near_the_backup_is_listed(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swift_listing, "MOST", 6)
    swift = Swift()
    swift.write("old", DATA, time="20250102030405")
    prefix = swift.write("bak", DATA)
    of = cloud(swift)
    assert run(of).saved["evidence"] == "objects"
    assert [one.get("marker") for one in swift.lists] == [
        None, "volume_vol/20260102025405", f"{prefix}_sha256file"]
    assert run(of).saved["evidence"] == "objects"
    assert len(swift.lists) == 5        # that it is large is known by now


@pytest.mark.parametrize("page", [1, 3, 5, 1000])
@pytest.mark.parametrize("time", ["20260102010000", "20260102030405"])
@pytest.mark.parametrize("most", [3, 10000])
def test_a_backup_is_found_however_many_names_a_page_has(
        page: int, time: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is shorter than Swift's usual ones is not the last."""
    monkeypatch.setattr(swift_listing, "MOST", most)
    swift = Swift()
    swift.page = page
    swift.write("earlier", DATA, time="20200102030405")
    swift.write("bak", DATA, time=time)
    swift.write("later", DATA, time="20270102030405")
    done = run(cloud(swift))
    assert done.saved["evidence"] == "objects"
    assert [one["objects"] for one in done.saved["chain"]] == [2]


def test_a_description_that_no_list_shows_is_asked_for_itself() -> None:
    swift = Swift()
    prefix = swift.write("bak", DATA)
    swift.hidden.add(f"{prefix}_metadata")
    assert run(cloud(swift)).saved["evidence"] == "objects"
    del swift.objects[f"{prefix}_metadata"]
    assert refused(run(cloud(swift))).startswith(
        f"ObjectMissing: Swift has no object {prefix}_metadata")


def test_a_store_that_says_401_to_who_may_not_read_is_understood() -> None:
    swift = Swift()
    swift.write("bak", DATA)

    def refuse(path: str, **_: Any) -> Any:
        raise CloudUnauthorized("swift answered 401", status=401)

    swift.get = refuse      # type: ignore[method-assign]
    done = run(cloud(swift))
    assert (done.saved["evidence"], done.saved["unproved"]) == (
        "status", "the container volumebackups may not be read")


def test_of_a_full_backup_no_checksums_are_read() -> None:
    swift = Swift()
    prefix = swift.write("bak", DATA)
    read: list[str] = []
    download = swift.download
    swift.download = lambda path, **options: (      # type: ignore[method-assign]
        read.append(path.removeprefix("/volumebackups/")), download(path, **options))[1]
    assert isinstance(run(cloud(swift)), Done)
    assert read == [f"{prefix}_metadata", f"{prefix}-00001"]
