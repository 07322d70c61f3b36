"""What can never come is an obstacle before anything is made; what may come is waited for, and
it is said what for."""

from __future__ import annotations

from typing import Any

import pytest

from karbor.domain.errors import RemoteFailed
from karbor.domain.resource import IMAGE, VOLUME, Resource
from karbor.domain.step import Again, Failed, Wait
from karbor.plugin.protection import Protection
from karbor.protections.cinder.backup import Backup, Settled, Snapshot
from karbor.protections.cinder.volume_backup_plugin import VolumeBackup
from karbor.protections.cinder.volume_snapshot_plugin import VolumeSnapshot
from karbor.protections.glance.data import Bytes
from karbor.protections.glance.image_plugin import ImageProtection
from tests.unit.protections.scripted import ScriptedCloud, StepOf

UP = {"services": [{"state": "up", "status": "enabled"}]}


def volume(status: str) -> Resource:
    return Resource(VOLUME, "vol", "data", facts={"status": status, "size": 1, "volume_type": ""})


def obstacles(plugin: Protection, status: str, server: str) -> list[str]:
    """Of a volume in this state, which a server in that state has."""
    limits = {"absolute": {}}
    cloud = ScriptedCloud(
        cinder={"GET /os-services": UP, "GET /limits": limits,
                "GET /os-quota-sets/project": {"quota_set": {}}},
        nova={"GET /": {"version": {"version": "2.90"}}, "LIST /servers/detail": [
            {"id": "s", "name": "web", "status": server,
             "os-extended-volumes:volumes_attached": [{"id": "vol"}]}]})
    return [one.what for one in plugin.protect_obstacles([volume(status)], cloud)]


@pytest.mark.parametrize("plugin", [VolumeBackup(), VolumeSnapshot()])
class TestVolume:
    @pytest.mark.parametrize("server", ["SHELVED", "SHELVED_OFFLOADED"])
    def test_one_that_is_reserved_for_a_shelved_server_stays_so(
            self, plugin: Protection, server: str) -> None:
        assert obstacles(plugin, "reserved", server) == [
            f"volume data is reserved for the server web, which is {server.lower()}"]

    def test_one_that_is_reserved_for_a_running_server_is_being_attached(
            self, plugin: Protection) -> None:
        assert obstacles(plugin, "reserved", "ACTIVE") == []

    def test_one_that_a_shelved_server_still_uses_is_at_rest(self, plugin: Protection) -> None:
        assert obstacles(plugin, "in-use", "SHELVED") == []

    @pytest.mark.parametrize("status", ["awaiting-transfer", "error_backing-up", "error",
                                        "maintenance", "deleting", "unmanaging"])
    def test_one_that_nobody_brings_to_rest(self, plugin: Protection, status: str) -> None:
        assert obstacles(plugin, status, "ACTIVE") == [f"volume data is in the state {status}"]

    @pytest.mark.parametrize("status", ["attaching", "detaching", "extending", "backing-up",
                                        "retyping", "uploading", "creating", "downloading"])
    def test_one_that_is_worked_on(self, plugin: Protection, status: str) -> None:
        assert obstacles(plugin, status, "ACTIVE") == []


def shown(status: str) -> dict[str, Any]:
    return {"GET /volumes/vol": {"volume": {"id": "vol", "status": status, "size": 1}},
            "LIST /volumes/detail": [{"id": "vol", "status": status, "size": 1}]}


def test_a_volume_that_is_worked_on_is_waited_for_with_its_state() -> None:
    outcome = Settled().run(StepOf(volume("extending"), ScriptedCloud(cinder=shown("extending"))))
    assert isinstance(outcome, Again)
    assert outcome.wait == Wait("the volume to come to rest; it is extending", "at_rest")


def test_a_volume_that_is_given_away_meanwhile_is_not_waited_for() -> None:
    work = StepOf(volume("available"), ScriptedCloud(cinder=shown("awaiting-transfer")))
    outcome = Settled().run(work)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, RemoteFailed)


@pytest.mark.parametrize(("status", "found"), [
    ("queued", ["image disk is queued: it has no data, and nobody is sending any"]),
    ("saving", []), ("importing", []), ("active", []), ("killed", ["image disk is killed"])])
def test_an_image_without_data_is_an_obstacle(status: str, found: list[str]) -> None:
    image = Resource(IMAGE, "img", "disk", facts={"status": status})
    cloud = ScriptedCloud(glance={})
    assert [one.what for one in ImageProtection().protect_obstacles([image], cloud)] == found


def test_an_image_that_gets_its_data_is_waited_for() -> None:
    cloud = ScriptedCloud({"glance.image#img": {"id": "img", "status": "saving"}}, glance={})
    outcome = Bytes().run(StepOf(Resource(IMAGE, "img", "disk"), cloud))
    assert isinstance(outcome, Again)
    assert outcome.wait == Wait("the image img to have its bytes; it is saving", "image_data")


@pytest.mark.parametrize(("backups", "why"), [
    ([], "Cinder makes no backup of it any more, and did not say so"),
    ([{"snapshot_id": "snap", "status": "error"}],
     "Cinder makes no backup of it any more, and did not say so"),
    ([{"snapshot_id": "snap", "status": "creating"}], ""),
    ([{"snapshot_id": "other", "status": "creating"}],
     "Cinder makes no backup of it any more, and did not say so")])
def test_a_snapshot_that_cinder_left_backing_up_is_known(backups: Any, why: str) -> None:
    work = StepOf(volume("available"), ScriptedCloud(cinder={"LIST /backups/detail": backups}))
    assert Snapshot().never_deleted(work, "snap", {"status": "backing-up"}) == why
    assert Snapshot().never_deleted(work, "snap", {"status": "creating"}) == ""


@pytest.mark.parametrize(("reason", "anew"), [
    ("incomplete backup reset on manager restart", True), (None, True),
    ("Swift could not be reached: connection refused", True),
    ("Service not found for creating backup.", False),
    ("Upload or copying of objects failed: 413 Request Entity Too Large: quota", False)])
def test_a_backup_that_would_fail_again_is_not_made_anew(reason: str | None, anew: bool) -> None:
    assert Backup().may_succeed_anew({"status": "error", "fail_reason": reason}) is anew
