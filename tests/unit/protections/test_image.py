"""The image protection's stages, one entry at a time."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from karbor_testing.bank import MemoryBank

from karbor.domain.errors import (
    CloudConflict,
    CloudForbidden,
    CloudNotFound,
    CloudUnavailable,
    ObjectDamaged,
    ObjectMissing,
)
from karbor.domain.resource import IMAGE, SERVER, Resource, ResourceGraph
from karbor.domain.step import Again, Done, Failed, Hook
from karbor.plugin.protection import Target
from karbor.protections.glance.data import Bytes, Disk, ReadBack
from karbor.protections.glance.image_plugin import ImageProtection
from karbor.protections.glance.metadata import describe
from karbor.protections.glance.restore import PATCH, STALE, Image
from tests.unit.protections.scripted import ScriptedCloud, StepOf

WEB = Resource(SERVER, "server", "web")
PLAIN = Resource(IMAGE, "img", "cirros", facts={"status": "active"})
DISK = Resource(IMAGE, "img", "cirros (disk of web)", within="server",
                facts={"server_status": "ACTIVE"})
GRAPH = ResourceGraph.build([WEB], lambda level: {WEB.key: [DISK]})
DATA = bytes(range(256)) * 20_000       # 5 MB: two pieces


def record(data: bytes = DATA, **more: Any) -> dict[str, Any]:
    return {"id": "img", "name": "cirros", "status": "active", "size": len(data), "owner": "me",
            "os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(data).hexdigest(),
            "checksum": hashlib.md5(data).hexdigest(), "disk_format": "raw",
            "container_format": "bare", "min_disk": 1, "min_ram": 0, "visibility": "shared",
            "protected": True, "os_hidden": False, "tags": ["b", "a"], "self": "/v2/images/img",
            "file": "/v2/images/img/file", "schema": "/v2/schemas/image", "hw_disk_bus": "virtio",
            "stores": "file", "os_glance_import_task": "x", "virtual_size": None, **more}


# ---------------------------------------------------------------------------- what is kept
def test_what_belongs_to_the_image_is_kept_and_what_is_the_record_s_own_is_not() -> None:
    assert describe(record(), disk=False) == {
        "name": "cirros", "disk_format": "raw", "container_format": "bare", "min_disk": 1,
        "min_ram": 0, "visibility": "shared", "protected": True, "os_hidden": False,
        "tags": ["a", "b"], "properties": {"hw_disk_bus": "virtio"}}


def test_of_a_disk_nova_s_notes_about_the_snapshot_are_left_out() -> None:
    made = record(instance_uuid="server", base_image_ref="img", image_type="snapshot",
                  user_id="u", karbor_mark="karbor:op:x", os_type="linux")
    assert describe(made, disk=True)["properties"] == {"hw_disk_bus": "virtio", "os_type": "linux"}
    # A plain image may be such a snapshot itself: then they are the user's.
    assert "instance_uuid" in describe(made, disk=False)["properties"]


# ---------------------------------------------------------------------------- protect
def test_a_disk_is_an_image_that_bears_the_mark() -> None:
    cloud = ScriptedCloud(nova={"POST /servers/server/action": {"image_id": "snap"}})
    assert Disk().create(StepOf(DISK, cloud)) == "snap"
    _, body = cloud.api("nova").sent[-1]
    assert body["createImage"]["metadata"] == {"karbor_mark": StepOf.mark}


def test_the_mark_is_compared_again() -> None:
    listed = [{"id": "wrong"}, {"id": "right", "karbor_mark": StepOf.mark}]
    cloud = ScriptedCloud(glance={"LIST /images": listed})
    assert Disk().find(StepOf(DISK, cloud)) == ["right"]
    listed.pop()
    assert Disk().find(StepOf(DISK, cloud)) == []


@pytest.mark.parametrize(("task", "error"), [("image_uploading", CloudUnavailable),
                                             (None, CloudConflict)])
def test_a_busy_server_is_waited_for(task: str | None, error: type[Exception]) -> None:
    cloud = ScriptedCloud(nova={"POST /servers/server/action": CloudConflict("409"),
                                "GET /servers/server": {"server": {"OS-EXT-STS:task_state": task}}})
    with pytest.raises(error):
        Disk().create(StepOf(DISK, cloud))


@pytest.mark.parametrize(("listed", "task", "now", "given_up"), [
    ("queued", None, "queued", True),
    ("saving", None, "saving", True),
    ("queued", "image_uploading", "queued", False),
    ("queued", None, "active", False),      # finished between the looks
    ("active", None, "active", False)])
def test_nova_gave_an_image_up_when_it_works_on_it_no_more(
        listed: str, task: str | None, now: str, given_up: bool) -> None:
    cloud = ScriptedCloud({"nova.server#server": {"OS-EXT-STS:task_state": task}},
                          glance={"GET /images/snap": {"status": now}})
    assert bool(Disk().given_up(StepOf(DISK, cloud), "snap", {"status": listed})) is given_up


def test_an_image_of_a_server_that_is_gone_is_not_judged() -> None:
    cloud = ScriptedCloud(glance={})
    assert Disk().given_up(StepOf(DISK, cloud), "snap", {"status": "queued"}) == ""


def glance(data: bytes = DATA, **more: Any) -> ScriptedCloud:
    return ScriptedCloud(glance={"GET /images/img": record(data),
                                 "DOWNLOAD /images/img/file": data, **more})


def test_bytes_are_kept_and_read_back() -> None:
    bank = MemoryBank()
    done = Bytes().run(StepOf(PLAIN, glance(), bank=bank))
    assert isinstance(done, Done)
    assert done.saved["size"] == len(DATA)
    assert done.saved["stream"]["checksums"]["sha512"] == hashlib.sha512(DATA).hexdigest()
    proof = ReadBack().run(StepOf(PLAIN, glance(), bank=bank, kept={"bytes": done.saved}))
    assert proof == Done({"evidence": "checksums", "unproved": ""})


@pytest.mark.parametrize(("answer", "why"), [
    ({"members": [{"member_id": "p2"}, {"member_id": "p1"}]},
     "a restored image is shared with no project; this one is with p1, p2"),
    ({"members": []}, None),
    (CloudForbidden("policy forbids it"), "they cannot be read: policy forbids it")])
def test_with_whom_an_image_is_shared_is_told_as_not_kept(answer: Any, why: str | None) -> None:
    cloud = glance(**{"GET /images/img": record(owner="project"),
                      "GET /images/img/members": answer})
    done = Bytes().run(StepOf(PLAIN, cloud))
    assert isinstance(done, Done)
    assert done.saved.get("not_kept") == ([{"field": "members", "why": why}] if why else None)
    assert cloud.log.count("glance GET /images/img/members") == 1


@pytest.mark.parametrize(("resource", "change"), [
    (PLAIN, {"visibility": "private"}), (PLAIN, {"visibility": "public"}),
    (PLAIN, {"owner": "another"}), (DISK, {})])
def test_members_are_asked_only_where_there_can_be_any(resource: Resource,
                                                       change: dict[str, Any]) -> None:
    cloud = glance(**{"GET /images/img": record(**{"owner": "project", **change})})
    done = Bytes().run(StepOf(resource, cloud, saved={"disk": {"id": "img"}}))
    assert isinstance(done, Done)
    assert "not_kept" not in done.saved
    assert not [one for one in cloud.log if "members" in one]


def test_a_disk_s_bytes_come_from_nova_s_image() -> None:
    cloud = ScriptedCloud(glance={"GET /images/snap": record(id="snap", instance_uuid="server"),
                                  "DOWNLOAD /images/snap/file": DATA})
    done = Bytes().run(StepOf(DISK, cloud, saved={"disk": {"id": "snap"}}))
    assert isinstance(done, Done)
    assert "instance_uuid" not in done.saved["image"]["properties"]


def test_bytes_with_another_checksum_are_not_kept() -> None:
    cloud = glance(**{"DOWNLOAD /images/img/file": DATA[:-1] + b"?"})
    with pytest.raises(CloudUnavailable):
        Bytes().run(StepOf(PLAIN, cloud))


def test_an_interrupted_transfer_goes_on() -> None:
    bank = MemoryBank()
    asked = iter([False, True, True])
    paused = Bytes().run(StepOf(PLAIN, glance(), bank=bank, stopping=lambda: next(asked, True)))
    assert isinstance(paused, Again)
    assert isinstance(Bytes().run(StepOf(PLAIN, glance(), bank=bank)), Done)


def test_an_image_without_data_is_kept_as_such() -> None:
    cloud = ScriptedCloud(glance={"GET /images/img": record(
        b"", size=0, os_hash_value=None, os_hash_algo=None, checksum=None)})
    done = Bytes().run(StepOf(PLAIN, cloud))        # nothing is downloaded: there is no script
    assert isinstance(done, Done)
    assert done.saved["size"] == 0


@pytest.mark.parametrize(("status", "expected"), [("saving", Again), ("queued", Again),
                                                  ("deactivated", Failed), ("killed", Failed)])
def test_only_an_active_image_has_bytes(status: str, expected: type) -> None:
    cloud = ScriptedCloud(glance={"GET /images/img": record(status=status)})
    assert isinstance(Bytes().run(StepOf(PLAIN, cloud)), expected)


def kept_of(bank: MemoryBank, data: bytes = DATA, resource: Resource = PLAIN) -> dict[str, Any]:
    done = Bytes().run(StepOf(resource, glance(data), bank=bank, saved={"disk": {"id": "img"}}))
    assert isinstance(done, Done)
    return {"bytes": done.saved}


def test_damage_in_the_bank_is_found() -> None:
    bank = MemoryBank()
    kept = kept_of(bank)
    piece = next(one.key for one in bank.list("projects/project/vault/packs"))
    bank.put(piece, [b"damaged"])
    with pytest.raises((ObjectDamaged, ObjectMissing)):
        ReadBack().run(StepOf(PLAIN, glance(), bank=bank, kept=kept))


def test_a_checkpoint_without_bytes_proves_nothing() -> None:
    assert isinstance(ReadBack().run(StepOf(PLAIN, glance())), Failed)


def test_a_long_proof_can_stop_and_go_on() -> None:
    bank = MemoryBank()
    kept = kept_of(bank)
    first = ReadBack().run(StepOf(PLAIN, glance(), bank=bank, kept=kept, stopping=lambda: True))
    assert isinstance(first, Again)
    assert first.handle is not None
    assert 0 < first.handle["offset"] < len(DATA)
    assert isinstance(ReadBack().run(
        StepOf(PLAIN, glance(), bank=bank, kept=kept, handle=first.handle)), Done)


# ---------------------------------------------------------------------------- restore
class Target2:
    """A Glance that really keeps one image."""

    def __init__(self) -> None:
        self.image: dict[str, Any] | None = None
        self.uploads = 0
        self.cloud = ScriptedCloud(glance={
            "POST /images": self.create, "LIST /images": lambda p: [self.image] * bool(self.image),
            "GET /images/new": lambda p: self.shown(), "UPLOAD /images/new/file": self.upload,
            "PATCH /images/new": self.patch, "DELETE /images/new": self.remove})

    def create(self, body: Any) -> Any:
        self.image = {**body, "id": "new", "status": "queued", "protected": False}
        return self.image

    def shown(self) -> Any:
        from karbor.domain.errors import CloudNotFound
        if self.image is None:
            raise CloudNotFound("gone")
        return dict(self.image)

    def upload(self, data: bytes) -> None:
        assert self.image
        self.uploads += 1
        self.image.update(record(data), **self.image)
        self.image.update(status="active", size=len(data), checksum=hashlib.md5(data).hexdigest(),
                          os_hash_algo="sha512", os_hash_value=hashlib.sha512(data).hexdigest())

    def patch(self, changes: Any) -> Any:
        assert self.image
        for one in changes:
            field = one["path"][1:]
            if field == "visibility" and one["value"] == "public":
                raise CloudForbidden("policy forbids it")
            if one["op"] == "remove":
                del self.image[field]
            else:
                self.image[field] = one["value"]
        return {}

    def remove(self, params: Any) -> None:
        assert self.image
        if self.image["protected"]:
            raise CloudForbidden("protected")
        self.image = None


def restore(to: Target2, bank: MemoryBank, kept: dict[str, Any], resource: Resource = PLAIN,
            handle: Any = None, **more: Any) -> Any:
    """All entries until it does not ask for another one."""
    for _ in range(10):
        outcome = Image().run(StepOf(resource, to.cloud, bank=bank, kept=kept, graph=GRAPH,
                                     handle=handle, **more))
        if not isinstance(outcome, Again):
            return outcome
        handle, more = outcome.handle, {}
    raise AssertionError("it never ends")


def test_a_plain_image_comes_back_with_all_that_was_its_own() -> None:
    to, bank = Target2(), MemoryBank()
    done = restore(to, bank, kept_of(bank))
    assert done == Done({"id": "new", "name": "cirros", "not_restored": []})
    assert to.image is not None
    assert to.image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert (to.image["visibility"], to.image["protected"], to.image["hw_disk_bus"],
            to.image["tags"]) == ("shared", True, "virtio", ["a", "b"])
    assert "karbor_mark" not in to.image


def test_a_disk_is_named_after_its_server_and_stays_private() -> None:
    to, bank = Target2(), MemoryBank()
    done = restore(to, bank, kept_of(bank, resource=DISK), DISK)
    assert done.saved["name"] == "web disk (restored)"
    assert to.image is not None
    assert (to.image["visibility"], to.image["protected"]) == ("private", False)


def test_a_record_whose_answer_was_lost_is_adopted() -> None:
    to, bank = Target2(), MemoryBank()
    kept = kept_of(bank)
    Image().run(StepOf(PLAIN, to.cloud, bank=bank, kept=kept))      # the outcome is lost
    done = restore(to, bank, kept, entered_before=True)
    assert isinstance(done, Done)
    assert [one for one in to.cloud.log if "POST" in one] == ["glance POST /images"]


def test_an_upload_that_broke_off_is_sent_again_from_the_beginning() -> None:
    to, bank = Target2(), MemoryBank()
    kept = kept_of(bank)
    made = Image().run(StepOf(PLAIN, to.cloud, bank=bank, kept=kept))
    real = to.cloud.api("glance")._script["UPLOAD /images/new/file"]
    to.cloud.api("glance")._script["UPLOAD /images/new/file"] = (   # type: ignore[index]
        CloudUnavailable("the connection was lost"))
    with pytest.raises(CloudUnavailable):
        Image().run(StepOf(PLAIN, to.cloud, bank=bank, kept=kept, handle=made.handle))
    to.cloud.api("glance")._script["UPLOAD /images/new/file"] = real    # type: ignore[index]
    assert isinstance(restore(to, bank, kept, handle=made.handle), Done)


def test_an_upload_that_nobody_sends_any_more_is_not_waited_for_for_ever() -> None:
    to, bank = Target2(), MemoryBank()
    kept = kept_of(bank)
    to.image = {"id": "new", "status": "saving"}
    handle: Any = {"id": "new"}
    for _ in range(STALE):
        again = Image().run(StepOf(PLAIN, to.cloud, bank=bank, kept=kept, handle=handle))
        assert isinstance(again, Again)
        handle = again.handle
    end = Image().run(StepOf(PLAIN, to.cloud, bank=bank, kept=kept, handle=handle))
    assert isinstance(end, Failed)


@pytest.mark.parametrize("change", [{"os_hash_value": "0" * 128}, {"size": 1}])
def test_other_bytes_than_were_sent_are_an_error(change: dict[str, Any]) -> None:
    to, bank = Target2(), MemoryBank()
    kept = kept_of(bank)
    to.image = {**record(), "id": "new", **change}
    end = Image().run(StepOf(PLAIN, to.cloud, bank=bank, kept=kept, handle={"id": "new"}))
    assert isinstance(end, Failed)
    assert "other bytes" in end.error.message


def test_what_policy_keeps_from_the_user_is_told() -> None:
    to, bank = Target2(), MemoryBank()
    kept = kept_of(bank)
    kept["bytes"]["image"]["visibility"] = "public"
    done = restore(to, bank, kept)
    assert done.saved["not_restored"] == [{"field": "visibility", "why": "policy forbids it"}]


def test_undo_removes_a_protected_image_too() -> None:
    to, bank = Target2(), MemoryBank()
    restore(to, bank, kept_of(bank))
    handle: Any = {"id": "new"}
    for _ in range(3):
        outcome = Image().undo(StepOf(PLAIN, to.cloud, handle=handle))
        if isinstance(outcome, Done):
            break
    assert isinstance(outcome, Done)
    assert to.image is None


def test_undo_finds_by_its_mark_what_nobody_wrote_down() -> None:
    to = Target2()
    to.image = {"id": "new", "status": "queued", "karbor_mark": StepOf.mark, "protected": False}
    Image().undo(StepOf(PLAIN, to.cloud))
    assert to.image is None
    assert isinstance(Image().undo(StepOf(PLAIN, to.cloud)), Done)


def test_patches_are_of_glance_s_kind() -> None:
    assert PATCH["Content-Type"] == "application/openstack-images-v2.1-json-patch"


# ---------------------------------------------------------------------------- obstacles
def obstacles(resource: Resource, usage: Any = None) -> list[str]:
    script = {"GET /info/usage": {"usage": usage}} if usage else {}
    return [one.what for one in ImageProtection().protect_obstacles(
        [resource], ScriptedCloud(glance=script))]


@pytest.mark.parametrize("state", ["SHELVED_OFFLOADED", "ERROR", "VERIFY_RESIZE", "BUILD"])
def test_a_server_whose_disk_cannot_be_copied_is_named(state: str) -> None:
    found = obstacles(Resource(IMAGE, "img", "d", within="s", facts={"server_status": state}))
    assert len(found) == 1
    assert state in found[0]


@pytest.mark.parametrize("state", ["ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"])
def test_other_servers_are_fine(state: str) -> None:
    assert obstacles(Resource(IMAGE, "img", "d", within="s", facts={"server_status": state})) == []


def test_an_image_that_is_not_active_is_named() -> None:
    assert "deactivated" in obstacles(Resource(IMAGE, "i", facts={"status": "deactivated"}))[0]


def test_glance_s_limits_are_asked_where_there_are_any() -> None:
    full = {"image_count_total": {"limit": 5, "usage": 5}}
    assert len(obstacles(DISK, full)) == 1
    assert obstacles(PLAIN, full) == []         # makes no image
    assert obstacles(DISK, {"image_count_total": {"limit": -1, "usage": 5}}) == []


def restore_target(kept: Any, usage: Any = None) -> Target:
    script = {"GET /info/usage": {"usage": usage}} if usage else {}
    return Target(ScriptedCloud(glance=script), GRAPH, lambda stage, one: kept, lambda one: {})


def test_a_restore_needs_room_and_bytes() -> None:
    kept = {"size": 3 * 1024 ** 2, "image": {"name": "cirros"}}
    plugin = ImageProtection()
    assert plugin.restore_obstacles([DISK], restore_target(kept)) == []
    tight = {"image_size_total": {"limit": 10, "usage": 8}}
    assert "image_size_total" in plugin.restore_obstacles(
        [DISK], restore_target(kept, tight))[0].what
    assert "no bytes" in plugin.restore_obstacles([DISK], restore_target({}))[0].what
    line, = plugin.restore_preview(DISK, restore_target(kept))
    assert line.startswith("create image web disk (restored) (3145728 bytes), which stays")


def test_only_disks_need_a_temporary_image() -> None:
    plugin = ImageProtection()
    assert {hook: [one.name for one in some] for hook, some in plugin.protect(DISK).items()} == {
        Hook.PREPARE_FINISH: ["disk"], Hook.MAIN: ["bytes"]}
    assert list(plugin.protect(PLAIN)) == [Hook.MAIN]


# ---------------------------------------------------------------------------- without data
MAPPING = '[{"source_type": "snapshot", "snapshot_id": "snap", "volume_id": null, "boot_index": 0}]'


@pytest.mark.parametrize("data", [b"", DATA])
def test_an_image_whose_data_are_elsewhere_is_refused_when_it_comes_to_its_bytes(
        data: bytes) -> None:
    cloud = ScriptedCloud({"glance.image#img": record(data, block_device_mapping=MAPPING)},
                          glance={})
    failed = Bytes().run(StepOf(PLAIN, cloud))
    assert isinstance(failed, Failed)
    assert "it boots from snapshot snap in Cinder" in failed.error.message


@pytest.mark.parametrize(("snapshots", "proved"), [
    ([{"id": "snap", "status": "available"}], True),
    ([{"id": "snap", "status": "error"}], False), ([], False)])
def test_one_that_was_kept_before_is_worth_what_cinder_still_has(
        snapshots: list[dict[str, str]], proved: bool) -> None:
    """Until now it was kept, as 0 bytes, and its checksums were called a proof."""
    kept = {"size": 0, "stream": {}, "image": {
        "name": "db", "properties": {"block_device_mapping": MAPPING}}}
    cloud = ScriptedCloud(cinder={"LIST /snapshots/detail": snapshots}, glance={
        "GET /info/usage": {"usage": {}}})
    read = ReadBack().run(StepOf(PLAIN, cloud, kept={"bytes": kept}))
    if proved:
        assert isinstance(read, Done)
        assert read.saved["evidence"] == "status"
    else:
        assert isinstance(read, Failed)
        assert isinstance(read.error, ObjectMissing)
    graph = ResourceGraph.build([PLAIN], lambda level: {})
    target = Target(cloud, graph, lambda stage, one: kept, lambda one: {})
    found = [one.what for one in ImageProtection().restore_obstacles([PLAIN], target)]
    why = ("the checkpoint has no data of image cirros, and snapshot snap, which it boots from, is "
           "not there")
    assert found == ([] if proved else [why])


def test_the_snapshots_that_nova_made_go_before_the_image_that_names_them() -> None:
    states = ["available", "deleting", None]

    def snapshot(_: Any) -> Any:
        state = states.pop(0)
        if state is None:
            raise CloudNotFound("gone", status=404)
        return {"snapshot": {"id": "snap", "status": state}}

    cloud = ScriptedCloud(
        glance={"GET /images/snapped": record(
            b"", block_device_mapping=MAPPING, karbor_mark=StepOf.mark),
            "DELETE /images/snapped": None},
        cinder={"GET /snapshots/snap": snapshot, "DELETE /snapshots/snap": None})
    for _ in range(2):
        with pytest.raises(CloudConflict, match="snap"):
            Disk().delete(StepOf(DISK, cloud, saved={"disk": {"no_disk": True}}), "snapped")
    Disk().delete(StepOf(DISK, cloud, saved={"disk": {"no_disk": True}}), "snapped")
    assert [one for one in cloud.log if "DELETE" in one] == [
        "cinder DELETE /snapshots/snap", "glance DELETE /images/snapped"]
    # Of a disk that is one, nothing more is asked for.
    cloud.log.clear()
    Disk().delete(StepOf(DISK, cloud, saved={"disk": {"id": "snapped"}}), "snapped")
    assert cloud.log == ["glance DELETE /images/snapped"]
