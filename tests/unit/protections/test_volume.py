"""The volume protection's stages, one entry at a time."""

from __future__ import annotations

from typing import Any

import pytest

from karbor.domain.errors import CloudConflict, CloudNotFound, CloudUnavailable, RemoteFailed
from karbor.domain.resource import VOLUME, Resource
from karbor.domain.step import Again, Done, Failed, Hook
from karbor.plugin.protection import Target
from karbor.protections.cinder.backup import Backup, Settled, Snapshot, facts
from karbor.protections.cinder.backup_deletion import TRIES, Removal, delete_backup
from karbor.protections.cinder.restore import Restored, Volume
from karbor.protections.cinder.snapshot import KeptSnapshot
from karbor.protections.cinder.volume_backup_plugin import VolumeBackup
from karbor.protections.cinder_chain import Base
from tests.unit.protections.scripted import ScriptedCloud, StepOf

RESOURCE = Resource(VOLUME, "vol", "data", facts={
    "status": "available", "size": 2, "volume_type": "file"})


def volume(**more: Any) -> dict[str, Any]:
    return {"id": "vol", "name": "data", "description": "d", "status": "available", "size": 2,
            "volume_type": "file", "availability_zone": "nova", "bootable": "false",
            "encrypted": False, "multiattach": False, "metadata": {"a": "b"}, **more}


KEPT = {"id": "bak", "size": 2, "volume": facts(volume()), "snapshot_size": 2}
CONFLICT = CloudConflict("cinder answered 400: wrong state", status=400)


# ---------------------------------------------------------------------------- protect
@pytest.mark.parametrize(("status", "expected"), [
    ("available", Done), ("in-use", Done), ("attaching", Again), ("backing-up", Again),
    ("restoring-backup", Again), ("error", Failed), ("deleting", Failed)])
def test_a_volume_is_waited_for_until_nobody_works_on_it(status: str, expected: type) -> None:
    cloud = ScriptedCloud(cinder={"LIST /volumes/detail": [volume(status=status)],
                                  "GET /volumes/vol": {"volume": volume(status=status)}})
    outcome = Settled().run(StepOf(RESOURCE, cloud))
    assert isinstance(outcome, expected)
    assert cloud.log == ["cinder LIST /volumes/detail"]
    if isinstance(outcome, Again):      # from now on as all things are that are waited for
        assert isinstance(Settled().run(StepOf(RESOURCE, cloud, handle=outcome.handle)), expected)
        assert cloud.log[1] == "look cinder.volume vol"


def test_volumes_that_are_protected_together_share_one_list() -> None:
    cloud = ScriptedCloud(cinder={"LIST /volumes/detail": [volume(id=str(n)) for n in range(9)]})
    for n in range(9):
        assert isinstance(Settled().run(StepOf(Resource(VOLUME, str(n)), cloud)), Done)
    assert cloud.log == ["cinder LIST /volumes/detail"]


def test_a_volume_that_the_list_lacks_is_asked_for_before_it_counts_as_gone() -> None:
    cloud = ScriptedCloud(cinder={"LIST /volumes/detail": [],
                                  "GET /volumes/vol": {"volume": volume()}})
    assert isinstance(Settled().run(StepOf(RESOURCE, cloud)), Done)
    gone = ScriptedCloud(cinder={"LIST /volumes/detail": []})
    assert isinstance(Settled().run(StepOf(RESOURCE, gone)), Failed)


def test_what_a_restore_needs_is_kept_without_marks_of_karbor_and_cinder() -> None:
    described = facts(volume(
        bootable="true", metadata={"readonly": "True", "attached_mode": "rw", "a": "b",
                                   "karbor_mark": "karbor:old"},
        volume_image_metadata={"image_name": "cirros"}))
    assert described == {
        "size": 2, "name": "data", "description": "d", "volume_type": "file",
        "availability_zone": "nova", "bootable": True, "encrypted": False, "multiattach": False,
        "readonly": True, "metadata": {"a": "b"}, "image_metadata": {"image_name": "cirros"}}


def test_a_snapshot_bears_the_mark_from_its_request_on_and_is_found_by_it() -> None:
    made: list[dict[str, Any]] = []

    def create(body: Any) -> Any:
        made.append({**body["snapshot"], "id": "snap"})
        raise CloudUnavailable("the connection was lost after Cinder had made it")

    cloud = ScriptedCloud(cinder={"POST /snapshots": create,
                                  "LIST /snapshots/detail": lambda params: made})
    work = StepOf(RESOURCE, cloud)
    assert Snapshot().find(work) == []
    with pytest.raises(CloudUnavailable):
        Snapshot().create(work)
    assert made[0]["force"] is True
    assert Snapshot().find(work) == ["snap"]


@pytest.mark.parametrize(("status", "error"), [
    ("attaching", CloudUnavailable), ("available", CloudConflict), ("error", CloudConflict)])
def test_a_snapshot_refused_because_of_a_passing_state_is_tried_again(
        status: str, error: type[Exception]) -> None:
    cloud = ScriptedCloud(cinder={"POST /snapshots": CONFLICT,
                                  "GET /volumes/vol": {"volume": volume(status=status)}})
    with pytest.raises(error):
        Snapshot().create(StepOf(RESOURCE, cloud))


SNAPSHOT = {"id": "snap", "size": 2, "created_at": "2026-01-02T00:00:00.000000"}


def backup(**more: Any) -> dict[str, Any]:
    return {"id": "old", "volume_id": "vol", "status": "available", "size": 2,
            "data_timestamp": "2026-01-01T00:00:00.000000", **more}


GROWN = "the volume has grown since its last backup old"
NOTHING = "Cinder has no available backup of this volume to build upon"


@pytest.mark.parametrize(("backups", "why"), [
    ([], NOTHING),
    ([backup()], ""),
    ([backup(status="error")], NOTHING),
    ([backup(data_timestamp="2026-01-03T00:00:00.000000")], NOTHING),   # newer than the snapshot
    ([backup(size=1)], GROWN),
    ([backup(id="base"), backup(size=1, data_timestamp="2026-01-01T12:00:00.000000")], GROWN),
    # Without Swift only what the list itself tells:
    ([backup(is_incremental=True)], "the full backup that old was built upon is gone"),
    ([backup(id="base"), backup(is_incremental=True,
                                data_timestamp="2026-01-01T12:00:00.000000")], ""),
    ([backup(id="base", status="error"),
      backup(is_incremental=True, data_timestamp="2026-01-01T12:00:00.000000")],
     "backup base, on which old seems to be built, is error"),
])
def test_an_incremental_backup_is_made_only_where_it_could_be_restored(
        backups: list[Any], why: str) -> None:
    def base(mode: str) -> Any:
        cloud = ScriptedCloud(cinder={"LIST /backups/detail": [
            *backups, backup(id="another", volume_id="other")]})
        done = Base().run(StepOf(RESOURCE, cloud, saved={"snapshot": SNAPSHOT},
                                 parameters={"backup_mode": mode}))
        assert isinstance(done, Done)
        return done.saved

    note = {"note": f"backed up in full: {why}"} if why else {}
    assert base("incremental") == {"incremental": not why, **note}
    assert base("auto") == {"incremental": not why, **(note if backups else {})}
    assert base("full") == {"incremental": False}


@pytest.mark.parametrize(("mode", "base", "incremental"), [
    ({}, {"incremental": False}, False), ({"backup_mode": "full"}, {}, False),
    ({"backup_mode": "incremental"}, {}, True),     # begun by a Karbor that had no such step
    ({"backup_mode": "incremental"}, {"incremental": False}, False),
    ({"backup_mode": "auto"}, {"incremental": True}, True)])
def test_a_backup_is_of_the_snapshot_and_as_it_was_decided(
        mode: dict[str, str], base: dict[str, bool], incremental: bool) -> None:
    cloud = ScriptedCloud(cinder={"POST /backups": {"backup": {"id": "bak"}}})
    work = StepOf(RESOURCE, cloud, saved={"snapshot": SNAPSHOT, "base": base},
                  parameters={**mode, "container": "mine"})
    assert Backup().create(work) == "bak"
    _, body = cloud.api("cinder").sent[-1]
    told = body["backup"]
    assert (told["snapshot_id"], told["volume_id"], told["incremental"], told["container"],
            told["metadata"]) == ("snap", "vol", incremental, "mine",
                                  {"karbor_mark": StepOf.mark})


@pytest.mark.parametrize(("stage", "path", "key", "option", "usual"), [
    (Backup(), "/backups", "backup", "backup_name", "checkpoint "),
    (KeptSnapshot(), "/snapshots", "snapshot", "snapshot_name", "for checkpoint ")])
def test_what_is_kept_is_called_as_users_say(*, stage: Any, path: str, key: str, option: str,
                                             usual: str) -> None:
    cloud = ScriptedCloud(cinder={f"POST {path}": {key: {"id": "made"}}})

    def asked(**parameters: str) -> tuple[str, str]:
        stage.create(StepOf(RESOURCE, cloud, saved={"snapshot": SNAPSHOT}, parameters=parameters))
        body = cloud.api("cinder").sent[-1][1][key]
        return body["name"], body["description"]

    name, description = asked()
    assert (name, description[:len(usual)]) == ("karbor data", usual)
    assert asked(**{option: "nightly", "description": "of the shop"}) == ("nightly", "of the shop")


def test_a_backup_keeps_all_that_its_restore_and_proof_need() -> None:
    work = StepOf(RESOURCE, ScriptedCloud(),
                  saved={"snapshot": SNAPSHOT, "settled": {"volume": KEPT["volume"]}})
    saved = Backup().finished(work, "bak", {
        "size": 3, "is_incremental": True, "container": "c", "object_count": 7,
        "created_at": "t", "availability_zone": None})
    assert saved == {"id": "bak", "size": 3, "is_incremental": True, "container": "c",
                     "object_count": 7, "availability_zone": "", "created_at": "t",
                     "volume_id": "vol", "snapshot_size": 2, "volume": KEPT["volume"]}


def test_a_missing_backup_service_is_named_when_cinder_says_so() -> None:
    why = Backup().failure({"fail_reason": "Service not found for creating backup."})
    assert "No cinder-backup service is running" in why


# ---------------------------------------------------------------------------- delete
def after(*statuses: str | None) -> Any:
    """GET answers with one status after the other; None: not found. The last one stays."""
    left = list(statuses)

    def get(params: Any) -> Any:
        status = left.pop(0) if len(left) > 1 else left[0]
        if status is None:
            raise CloudNotFound("gone")
        return {"backup": {"id": "bak", "status": status,
                           "has_dependent_backups": status == "available"}}
    return get


@pytest.mark.parametrize(("answer", "seen", "expected"), [
    (None, after("deleting"), True),
    (None, after(None), True),
    (CONFLICT, after("available"), False),      # has dependents
    (CONFLICT, after("deleting"), True),
    (CONFLICT, after(None), True),
])
def test_delete_backup_tells_whether_it_goes(answer: Any, seen: Any, expected: bool) -> None:
    cloud = ScriptedCloud(cinder={"DELETE /backups/bak": answer, "GET /backups/bak": seen})
    assert delete_backup(cloud, "bak") is expected


def test_delete_backup_does_not_believe_a_404_that_means_the_service() -> None:
    cloud = ScriptedCloud(cinder={"GET /backups/bak": after("available")})   # DELETE: 404
    with pytest.raises(CloudUnavailable, match="no cinder-backup service"):
        delete_backup(cloud, "bak")


def test_delete_backup_says_when_it_is_busy() -> None:
    cloud = ScriptedCloud(cinder={"DELETE /backups/bak": CONFLICT,
                                  "GET /backups/bak": after("creating")})
    with pytest.raises(CloudConflict):
        delete_backup(cloud, "bak")


def test_removal_waits_until_the_backup_is_gone() -> None:
    cloud = ScriptedCloud(
        {"cinder.backup#bak": {"status": "deleting"}},
        cinder={"DELETE /backups/bak": None, "GET /backups/bak": after("deleting")})
    asked = Removal().run(StepOf(RESOURCE, cloud, kept={"backup": KEPT}))
    assert isinstance(asked, Again)
    waiting = Removal().run(StepOf(RESOURCE, cloud, kept={"backup": KEPT}, handle=asked.handle))
    assert isinstance(waiting, Again)
    cloud.looks["cinder.backup#bak"] = None
    done = Removal().run(StepOf(RESOURCE, cloud, kept={"backup": KEPT}, handle=asked.handle))
    assert done == Done({"deleted": "bak"})


def test_removal_defers_a_backup_that_others_are_built_upon() -> None:
    cloud = ScriptedCloud(cinder={"DELETE /backups/bak": CONFLICT,
                                  "GET /backups/bak": after("available")})
    done = Removal().run(StepOf(RESOURCE, cloud, kept={"backup": KEPT}))
    assert isinstance(done, Done)
    deferred = done.saved["deferred"]
    assert deferred["id"] == "bak"
    assert VolumeBackup().delete_deferred(deferred, cloud) is False
    going = ScriptedCloud(cinder={"DELETE /backups/bak": None,
                                  "GET /backups/bak": after("deleting")})
    assert VolumeBackup().delete_deferred(deferred, going) is False        # it may fail yet
    gone = ScriptedCloud(cinder={"DELETE /backups/bak": None, "GET /backups/bak": after(None)})
    assert VolumeBackup().delete_deferred(deferred, gone) is True
    stuck = ScriptedCloud(cinder={"DELETE /backups/bak": CONFLICT,
                                  "GET /backups/bak": after("error_deleting")})
    with pytest.raises(RemoteFailed, match="could not delete backup bak"):
        VolumeBackup().delete_deferred(deferred, stuck)


def test_removal_gives_up_on_a_cinder_that_ignores_it() -> None:
    cloud = ScriptedCloud(cinder={"GET /backups/bak": after("available")})
    handle: Any = {}
    for _ in range(TRIES - 1):
        again = Removal().run(StepOf(RESOURCE, cloud, kept={"backup": KEPT}, handle=handle))
        assert isinstance(again, Again)
        handle = again.handle
    end = Removal().run(StepOf(RESOURCE, cloud, kept={"backup": KEPT}, handle=handle))
    assert isinstance(end, Failed)
    assert "no cinder-backup service" in end.error.message


def test_removal_waits_for_a_backup_that_is_being_restored() -> None:
    cloud = ScriptedCloud(cinder={"DELETE /backups/bak": CONFLICT,
                                  "GET /backups/bak": after("restoring")})
    assert isinstance(Removal().run(StepOf(RESOURCE, cloud, kept={"backup": KEPT})), Again)


def test_removal_tells_why_cinder_could_not() -> None:
    cloud = ScriptedCloud({"cinder.backup#bak": {
        "status": "error", "fail_reason": "Swift is full"}}, cinder={})
    end = Removal().run(StepOf(RESOURCE, cloud, kept={"backup": KEPT}, handle={"asked": True}))
    assert isinstance(end, Failed)
    assert "Swift is full" in end.error.message


# ---------------------------------------------------------------------------- restore
def test_the_new_volume_is_like_the_old_one_and_bears_the_mark() -> None:
    cloud = ScriptedCloud(cinder={"POST /volumes": {"volume": {"id": "new"}}})
    work = StepOf(RESOURCE, cloud, kept={"backup": {**KEPT, "size": 3}},
                  parameters={"map": {"file": "fast"}})
    assert Volume().create(work) == "new"
    _, body = cloud.api("cinder").sent[-1]
    assert body["volume"] == {
        "size": 3, "name": "data", "description": "d", "volume_type": "fast",
        "availability_zone": "nova", "metadata": {"a": "b", "karbor_mark": StepOf.mark}}


def test_a_new_volume_is_called_as_users_say() -> None:
    cloud = restoring("available", [], **{"POST /volumes": {"volume": {"id": "new"}}})
    options = {"restore_name": "mine", "restore_description": "again"}
    work = StepOf(RESOURCE, cloud, kept={"backup": KEPT}, parameters=options)
    Volume().create(work)
    body = cloud.api("cinder").sent[-1][1]["volume"]
    assert (body["name"], body["description"]) == ("mine", "again")
    done = Restored().run(StepOf(RESOURCE, cloud, saved={"volume": {"id": "new"}},
                                 kept={"backup": KEPT}, handle={"asked": True},
                                 parameters=options))
    assert isinstance(done, Done)
    # What Cinder restores with the bytes are the old volume's.
    assert ("PUT /volumes/new", {"volume": {"name": "mine", "description": "again"}}) in (
        cloud.api("cinder").sent)


def restoring(status: str, log: list[Any], **more: Any) -> ScriptedCloud:
    state = {"status": status}

    def restore(body: Any) -> Any:
        log.append(body)
        state["status"] = "restoring-backup"
        return {}

    cloud = ScriptedCloud(cinder={
        "GET /volumes/new": lambda p: {"volume": volume(id="new", status=state["status"])},
        "POST /backups/bak/restore": restore, "PUT /volumes/new": {},
        "PUT /volumes/new/metadata": {}, "POST /volumes/new/action": {}, **more})
    cloud.looks["cinder.volume#new"] = lambda: {"status": state["status"]}
    cloud.state = state     # type: ignore[attr-defined]
    return cloud


def enter(cloud: ScriptedCloud, handle: Any = None, kept: Any = None) -> Any:
    return Restored().run(StepOf(RESOURCE, cloud, saved={"volume": {"id": "new"}},
                                 kept={"backup": kept or KEPT}, handle=handle))


def test_a_restore_is_asked_for_once_and_finished_when_the_volume_says_so() -> None:
    asked: list[Any] = []
    cloud = restoring("available", asked)
    again = enter(cloud)
    assert asked == [{"restore": {"volume_id": "new"}}]
    assert isinstance(enter(cloud, again.handle), Again)
    cloud.state["status"] = "available"     # type: ignore[attr-defined]
    done = enter(cloud, again.handle)
    assert done == Done({"id": "new", "name": "data"})
    assert len(asked) == 1


@pytest.mark.parametrize(("was", "mapping", "told"), [
    ({"multiattach": True}, {}, {"multiattach": "it was to be True and is False"}),
    ({"encrypted": True, "size": 1}, {}, {"encrypted": "it was to be True and is False",
                                          "size": "it was to be 1 and is 2"}),
    ({"volume_type": "slow"}, {}, {"volume type": "it was to be slow and is file"}),
    ({"volume_type": "slow"}, {"slow": "file"}, {}),
    ({"volume_type": "slow"}, {"slow": "0a0b7e8a-4f3d-4c1e-9d55-0c6f8a4f0e11"}, {}),
    ({"volume_type": ""}, {}, {})])
def test_what_cinder_decided_otherwise_is_told(was: Any, mapping: Any, told: Any) -> None:
    cloud = restoring("available", [])
    kept = {"backup": {**KEPT, "volume": {**KEPT["volume"], **was}}}
    done = Restored().run(StepOf(RESOURCE, cloud, saved={"volume": {"id": "new"}}, kept=kept,
                                 handle={"asked": True}, parameters={"map": mapping}))
    assert isinstance(done, Done)
    assert {one["field"]: one["why"] for one in done.saved.get("not_restored", ())} == told


@pytest.mark.parametrize(("more", "fields"), [
    ({}, []), ({"group_id": "g"}, ["volume group"]), ({"consistencygroup_id": "c"},
                                                      ["volume group"]),
    ({"group_id": "g", "replication_status": "enabled"}, ["volume group", "replication"]),
    ({"group_id": None, "replication_status": "disabled"}, [])])
def test_what_a_volume_is_part_of_is_told_as_not_kept(more: Any, fields: list[str]) -> None:
    cloud = ScriptedCloud(cinder={"LIST /volumes/detail": [volume(**more)]})
    done = Settled().run(StepOf(RESOURCE, cloud))
    assert isinstance(done, Done)
    assert [one["field"] for one in done.saved.get("not_kept", ())] == fields


def test_a_restore_whose_answer_was_lost_is_not_asked_for_twice() -> None:
    asked: list[Any] = []
    cloud = restoring("restoring-backup", asked)
    again = enter(cloud)            # re-entered without a handle
    assert (asked, again.handle) == ([], {"asked": True})


def test_an_old_list_does_not_end_a_restore() -> None:
    cloud = restoring("restoring-backup", [])
    cloud.looks["cinder.volume#new"] = {"status": "available"}      # listed before the request
    assert isinstance(enter(cloud, {"asked": True}), Again)


def test_another_restore_of_the_same_backup_is_waited_for() -> None:
    cloud = restoring("available", [])
    cloud.api("cinder")._script["POST /backups/bak/restore"] = CONFLICT     # type: ignore[index]
    cloud.api("cinder")._script["GET /backups/bak"] = after("restoring")    # type: ignore[index]
    again = enter(cloud)
    assert isinstance(again, Again)
    assert not again.handle


def test_a_failed_restore_tells_what_cinder_tells() -> None:
    cloud = restoring("error_restoring", [], **{
        "LIST /messages": [{"user_message": "restore backup: error restoring the backup"}]})
    end = enter(cloud, {"asked": True})
    assert isinstance(end, Failed)
    assert "error restoring the backup" in end.error.message


def test_a_missing_backup_service_is_named_at_the_restore() -> None:
    cloud = restoring("available", [])
    cloud.api("cinder")._script["POST /backups/bak/restore"] = CloudNotFound(  # type: ignore[index]
        "cinder answered 404: Service cinder-backup could not be found.")
    end = enter(cloud)
    assert isinstance(end, Failed)
    assert "no cinder-backup service" in end.error.message


def test_the_properties_of_the_old_volume_come_last_and_the_mark_goes() -> None:
    cloud = restoring("available", [])
    wanted = facts(volume(bootable="true", metadata={"readonly": "True", "k": "v"},
                          volume_image_metadata={"image_name": "cirros"}))
    done = enter(cloud, {"asked": True}, {**KEPT, "volume": wanted})
    assert isinstance(done, Done)
    writes = [one for one in cloud.api("cinder").sent if not one[0].startswith("GET")]
    assert writes == [
        ("POST /volumes/new/action",
         {"os-set_image_metadata": {"metadata": {"image_name": "cirros"}}}),
        ("POST /volumes/new/action", {"os-set_bootable": {"bootable": True}}),
        ("POST /volumes/new/action", {"os-update_readonly_flag": {"readonly": True}}),
        ("PUT /volumes/new/metadata", {"metadata": {"k": "v"}})]


# ---------------------------------------------------------------------------- obstacles
def quota(**limits: tuple[int, int]) -> dict[str, Any]:
    return {"quota_set": {name: {"limit": limit, "in_use": used, "reserved": 0}
                          for name, (limit, used) in limits.items()}}


def protecting(quotas: dict[str, Any], *resources: Resource, **more: Any) -> list[str]:
    cloud = ScriptedCloud(cinder={
        "GET /os-services": {"services": [{"state": "up", "status": "enabled"}]},
        "GET /os-quota-sets/project": quotas, **more})
    return [one.what for one in VolumeBackup().protect_obstacles(resources or [RESOURCE], cloud)]


ROOM = quota(snapshots=(10, 0), gigabytes=(1000, 0), backups=(-1, 5), backup_gigabytes=(1000, 0))


def test_nothing_stands_in_the_way_of_an_ordinary_volume() -> None:
    assert protecting(ROOM) == []


@pytest.mark.parametrize(("facts", "what"), [
    ({"status": "invisible"}, "this project cannot see it"),
    ({"status": "error", "size": 1, "volume_type": ""}, "in the state error")])
def test_volumes_that_cannot_be_protected_are_named(facts: dict[str, Any], what: str) -> None:
    found = protecting(ROOM, Resource(VOLUME, "v", "bad", facts=facts))
    assert len(found) == 1
    assert what in found[0]


def test_each_short_quota_is_named() -> None:
    found = protecting(quota(snapshots=(5, 5), gigabytes=(1000, 0), backups=(3, 3),
                             backup_gigabytes=(10, 9), gigabytes_file=(1, 0)),
                       **{"LIST /snapshots/detail": [], "LIST /volumes/detail": []})
    assert [one.split()[3] for one in found] == ["backup_gigabytes", "backups", "gigabytes_file",
                                                 "snapshots"]


def test_gigabytes_do_not_count_where_snapshots_are_free() -> None:
    short = quota(snapshots=(5, 1), gigabytes=(4, 3), backups=(9, 0), backup_gigabytes=(99, 0))
    lists = {"LIST /snapshots/detail": [{"size": 3}], "LIST /volumes/detail": [{"size": 3}]}
    assert protecting(short, **lists) == []
    counted = quota(snapshots=(5, 1), gigabytes=(7, 6), backups=(9, 0), backup_gigabytes=(99, 0))
    assert len(protecting(counted, **lists)) == 1


def test_an_administrator_sees_that_no_backup_service_runs() -> None:
    found = protecting(ROOM, **{"GET /os-services": {"services": [
        {"state": "down", "status": "enabled"}]}})
    assert found == ["no cinder-backup service is running in this cloud"]


def restore_obstacles(kept: dict[str, Any], mapping: dict[str, str] | None = None,
                      quotas: Any = None, backups: Any = None) -> list[Any]:
    from karbor.domain.errors import CloudForbidden
    cloud = ScriptedCloud(cinder={
        "GET /os-services": CloudForbidden("policy"),
        "LIST /backups/detail": [{"id": "bak", "status": "available"}] if backups is None
        else backups,
        "LIST /types": [{"id": "t1", "name": "file"}, {"id": "t2", "name": "fast"}],
        "GET /os-availability-zone": {"availabilityZoneInfo": [
            {"zoneName": "nova", "zoneState": {"available": True}}]},
        "GET /os-quota-sets/project": quotas or quota(volumes=(10, 0), gigabytes=(10, 0))})
    graph = StepOf(RESOURCE, cloud).graph
    target = Target(cloud, graph, lambda stage, one: kept, lambda one: {}, mapping or {})
    return list(VolumeBackup().restore_obstacles([RESOURCE], target))


def test_a_restore_that_would_work_has_no_obstacles() -> None:
    assert restore_obstacles(KEPT) == []


def test_a_lost_backup_is_found_before_anything_is_made() -> None:
    found = restore_obstacles(KEPT, backups=[])
    assert [one.what for one in found] == ["backup bak of volume data is gone"]
    assert "has no backup" in restore_obstacles({})[0].what


def test_a_missing_type_and_zone_can_be_mapped() -> None:
    gone = {**KEPT, "volume": {**KEPT["volume"], "volume_type": "slow",
                               "availability_zone": "west"}}
    found = restore_obstacles(gone)
    assert [(one.map_from, one.remedy) for one in found] == [
        ("slow", "--map slow=OTHER-TYPE"), ("west", "--map west=OTHER-ZONE")]
    assert restore_obstacles(gone, {"slow": "fast", "west": "nova"}) == []


def test_an_encrypted_volume_cannot_change_its_type() -> None:
    secret = {**KEPT, "volume": {**KEPT["volume"], "encrypted": True}}
    assert "encrypted" in restore_obstacles(secret, {"file": "fast"})[0].what


def test_a_restore_needs_room_for_the_new_volumes() -> None:
    found = restore_obstacles(KEPT, quotas=quota(volumes=(1, 1), gigabytes=(2, 1)))
    assert [one.what.split()[3] for one in found] == ["gigabytes", "volumes"]


def test_stages_stand_in_their_hooks() -> None:
    plugin = VolumeBackup()
    protect = {hook: [one.name for one in some] for hook, some in plugin.protect(RESOURCE).items()}
    assert protect == {Hook.PREPARE_BEGIN: ["settled"], Hook.PREPARE_FINISH: ["snapshot"],
                       Hook.MAIN: ["base", "backup"]}
    restore = {hook: [one.name for one in some] for hook, some in plugin.restore(RESOURCE).items()}
    assert restore == {Hook.MAIN: ["volume", "restored"]}
