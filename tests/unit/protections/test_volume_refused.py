"""Volumes whose metadata Cinder shows under other keys, or will not take back as they were."""

from __future__ import annotations

from typing import Any

import pytest

from karbor.domain.errors import CloudConflict, CloudForbidden, CloudNotFound, CloudUnavailable
from karbor.domain.step import Again, Done
from karbor.plugin.cosmetics import TRIES
from karbor.plugin.protection import Target
from karbor.protections.cinder.backup import Settled
from karbor.protections.cinder.restore import Restored, Volume
from karbor.protections.cinder.volume_backup_plugin import VolumeBackup
from karbor.protections.cinder_input import split_metadata
from tests.unit.protections.scripted import ScriptedCloud, StepOf
from tests.unit.protections.test_share import Restoring
from tests.unit.protections.test_volume import KEPT, RESOURCE, restoring, volume


def settled(shown: dict[str, str], own: dict[str, str], *,
            summary: Any = None) -> tuple[Any, ScriptedCloud]:
    """What is kept of a volume whose metadata Cinder shows like this."""
    told = {"volume-summary": {"metadata": {key: [value] for key, value in own.items()}}}
    cloud = ScriptedCloud(cinder={
        "LIST /volumes/detail": [volume(metadata=shown)],
        "GET /volumes/summary": told if summary is None else summary,
        "GET /volumes/vol/metadata": {"metadata": own}})
    done = Settled().run(StepOf(RESOURCE, cloud))
    assert isinstance(done, Done)
    return done.saved, cloud


FLAGGED = "read-only flag"


@pytest.mark.parametrize(("shown", "own", "flag", "told"), [
    ({"a": "b"}, {"a": "b"}, False, []),
    ({"a": "b", "readonly": "True", "attached_mode": "rw"}, {"a": "b"}, True, []),
    ({"a": "b", "readonly": "False", "attached_mode": "rw"}, {"a": "b"}, False, []),
    ({"readonly": "please"}, {"readonly": "please"}, False, []),
    ({"readonly": "true"}, {"readonly": "true"}, False, []),
    ({"readonly": "True"}, {"readonly": "please"}, True, []),
    ({"readonly": "False"}, {"readonly": "please"}, False, []),
    ({"readonly": "True"}, {"readonly": "True"}, False, [FLAGGED]),
    ({"attached_mode": "rw"}, {"attached_mode": "mine"}, False, [])])
def test_metadata_of_the_user_are_told_from_cinders_flags(
        shown: dict[str, str], own: dict[str, str], flag: bool, told: list[str]) -> None:
    saved, _ = settled(shown, own)
    assert (saved["volume"]["metadata"], saved["volume"]["readonly"]) == (own, flag)
    assert [one["field"] for one in saved.get("not_kept", ())] == told


def test_a_volume_is_asked_for_its_own_metadata_only_where_that_can_matter() -> None:
    _, cloud = settled({"a": "b", "readonly": "False"}, {"a": "b"})
    assert cloud.log == ["cinder LIST /volumes/detail", "cinder GET /volumes/summary"]
    _, cloud = settled({"a": "b"}, {"a": "b"})
    assert cloud.log == ["cinder LIST /volumes/detail"]
    for summary in (CloudNotFound("before 3.12"), CloudForbidden("policy"),
                    {"volume-summary": {"total_count": 1}}):
        saved, _ = settled({"readonly": "x"}, {"readonly": "x"}, summary=summary)
        assert saved["volume"]["metadata"] == {"readonly": "x"}


def kept(**more: Any) -> dict[str, Any]:
    return {**KEPT, "volume": {**KEPT["volume"], **more}}


ODD = {"metadata": {"weird(key)": "1", "a": "b", "long": "x" * 256},
       "image_metadata": {"odd(key)": "1", "hw_disk_bus": "x" * 300}}
TOLD = ["metadata weird(key)", "metadata long", "image property odd(key)"]


def test_metadata_that_cinder_takes_no_more_cost_nothing_but_themselves() -> None:
    assert split_metadata({"a b/c.d-e_f:g": "1", "ü": "1"}) == ({"a b/c.d-e_f:g": "1"}, {"ü": "1"})
    made: list[Any] = []
    cloud = ScriptedCloud(cinder={"POST /volumes": lambda body: made.append(body["volume"]) or {
        "volume": {"id": "new"}}})
    Volume().create(StepOf(RESOURCE, cloud, kept={"backup": kept(**ODD)}))
    assert made[0]["metadata"] == {"a": "b", "karbor_mark": StepOf.mark}

    cloud = restoring("available", [])
    done = Restored().run(StepOf(RESOURCE, cloud, saved={"volume": {"id": "new"}},
                                 kept={"backup": kept(**ODD)}, handle={"asked": True}))
    assert [one["field"] for one in done.saved["not_restored"]] == TOLD
    sent = dict(cloud.api("cinder").sent)
    assert sent["PUT /volumes/new/metadata"] == {"metadata": {"a": "b"}}
    assert sent["POST /volumes/new/action"] == {
        "os-set_image_metadata": {"metadata": {"hw_disk_bus": "x" * 300}}}


def test_a_dry_run_says_which_metadata_do_not_come_back() -> None:
    target = Target(ScriptedCloud(), None, lambda stage, one: kept(**ODD),  # type: ignore[arg-type]
                    lambda one: {})
    assert list(VolumeBackup().restore_preview(RESOURCE, target))[2:] == [
        f"without the {what}, which Cinder does not take any more" for what in TOLD]


WANTED = {"name": "old name", "bootable": True, "readonly": True,
          "image_metadata": {"hw_disk_bus": "virtio"}}
DECORATIONS = ["PUT /volumes/new", "POST /volumes/new/action", "PUT /volumes/new/metadata"]


@pytest.mark.parametrize("error", [CloudConflict("cinder answered 400: no", status=400),
                                   CloudForbidden("cinder answered 403: no", status=403)])
def test_no_decoration_of_a_volume_undoes_its_restore(error: CloudConflict) -> None:
    cloud = restoring("available", [], **dict.fromkeys(DECORATIONS, error))
    done = Restored().run(StepOf(RESOURCE, cloud, saved={"volume": {"id": "new"}},
                                 kept={"backup": kept(**WANTED)}, handle={"asked": True}))
    assert isinstance(done, Done)
    assert {one["field"]: one["why"] for one in done.saved["not_restored"]} == {
        "name and description": error.message, "image properties": error.message,
        "bootable flag": error.message, "read-only flag": error.message,
        "metadata": f"it still bears Karbor's mark; {error.message}"}


def test_decorations_wait_for_a_service_that_restarts() -> None:
    script: dict[str, Any] = dict.fromkeys(DECORATIONS, CloudUnavailable("cinder answered 503"))
    cloud = restoring("available", [], **script)
    handle: Any = {"asked": True}

    def enter() -> Any:
        return Restored().run(StepOf(RESOURCE, cloud, saved={"volume": {"id": "new"}},
                                     kept={"backup": kept(**WANTED)}, handle=handle))

    first = enter()
    assert isinstance(first, Again)
    assert first.handle == {"asked": True, "cosmetic_tries": 1}
    handle = first.handle
    script = {request: {} for request in DECORATIONS}
    cloud.api("cinder")._script.update(script)      # type: ignore[attr-defined]
    assert enter() == Done({"id": "new", "name": "old name"})
    cloud.api("cinder")._script.update(             # type: ignore[attr-defined]
        dict.fromkeys(DECORATIONS, CloudUnavailable("cinder answered 503")))
    handle = {"asked": True, "cosmetic_tries": TRIES}
    assert len(enter().saved["not_restored"]) == 5


def test_a_share_keeps_what_it_has_when_its_mark_cannot_be_taken_off() -> None:
    made = Restoring()
    made.entry()
    made.applied()
    made.cloud.apis["manila"]._script["PUT /shares/new/metadata"] = (   # type: ignore[index]
        CloudForbidden("manila answered 403: no", status=403))
    done = made.entry()
    assert isinstance(done, Done)
    assert done.saved["not_restored"] == [{
        "field": "metadata",
        "why": "it still bears Karbor's mark; manila answered 403: no"}]
