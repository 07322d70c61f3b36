"""Images that Glance would refuse to take back as they were: too many properties, a signature
that cannot be verified, properties that only an operator may set."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from karbor_testing.bank import MemoryBank

from karbor.domain.errors import (
    CloudConflict,
    CloudForbidden,
    CloudNotFound,
    CloudUnavailable,
    QuotaExceeded,
)
from karbor.domain.step import Again, Done
from karbor.plugin.protection import Target
from karbor.protections.glance.data import Disk
from karbor.protections.glance.image_plugin import ImageProtection
from karbor.protections.glance.metadata import SIGNATURE, describe
from karbor.protections.glance.restore import Image
from tests.unit.protections.scripted import ScriptedCloud, StepOf
from tests.unit.protections.test_image import (
    DATA,
    DISK,
    GRAPH,
    PLAIN,
    Target2,
    kept_of,
    record,
)

MOST = 128
SIGNED = dict.fromkeys(SIGNATURE, "s") | {"img_signature_certificate_uuid": "cert"}
BASE = frozenset({*record(), "name", "id", "status"} - {"hw_disk_bus"})


class Killed(BaseException):
    pass


class Glance(Target2):
    """It also counts properties, verifies signatures, keeps some properties for operators, and
    kills its caller after a chosen write."""

    def __init__(self, *, verifies: bool = True, reserved: str = "") -> None:
        super().__init__()
        self.verifies = verifies
        self.reserved = reserved
        self.writes = 0
        self.kill = 0
        for request, answer in list(self.cloud.api("glance")._script.items()):
            if request.partition(" ")[0] in ("POST", "UPLOAD", "PATCH"):
                self.cloud.api("glance")._script[request] = (       # type: ignore[index]
                    lambda given, answer=answer: self.write(answer, given))

    def write(self, answer: Any, given: Any) -> Any:
        self.writes += 1
        made = answer(given)
        if self.writes == self.kill:
            raise Killed
        return made

    def check(self, image: Any) -> None:
        own = [one for one in image if one not in BASE]
        if len(own) > MOST:
            raise QuotaExceeded(f"The limit has been exceeded on the number of allowed image "
                                f"properties. Attempted: {len(own)}, Maximum: {MOST}")
        if self.reserved and self.reserved in image:
            raise CloudForbidden(f"Property '{self.reserved}' is reserved.")

    def create(self, body: Any) -> Any:
        self.check(body)
        assert self.image is None, "made twice"
        return super().create(body)

    def upload(self, data: bytes) -> None:
        assert self.image
        if not self.verifies and self.image.keys() >= SIGNATURE:
            self.uploads += 1
            raise CloudConflict("Signature verification failed for image new: Unable to retrieve "
                                "certificate with ID: cert", status=400)
        known = set(self.image)
        super().upload(data)
        self.image = {name: one for name, one in self.image.items() if name in known | BASE}

    def patch(self, changes: Any) -> Any:
        before = copy.deepcopy(self.image)
        super().patch(changes)
        try:
            if any(one["op"] == "add" for one in changes):
                self.check(self.image)
        except Exception:
            self.image = before
            raise
        return {}


def kept(bank: MemoryBank, **properties: str) -> dict[str, Any]:
    found = kept_of(bank)
    found["bytes"]["image"]["properties"] = properties
    return found


def restored(to: Glance, bank: MemoryBank, what: dict[str, Any]) -> Done:
    """Entered until it is over; entered again after being killed, with the last handle."""
    handle: Any = {}
    entered = False
    for _ in range(20):
        try:
            outcome = Image().run(StepOf(PLAIN, to.cloud, bank=bank, kept=what, graph=GRAPH,
                                         handle=handle, entered_before=entered))
        except Killed:
            entered = True
            continue
        entered = True
        if not isinstance(outcome, Again):
            assert isinstance(outcome, Done), outcome
            return outcome
        handle = outcome.handle if outcome.handle is not None else handle
    raise AssertionError("it never ends")


FULL = {f"p{number:03}": "x" for number in range(MOST)}
CASES = {"full": (FULL, {}), "signed": (SIGNED | {"hw_disk_bus": "virtio"}, {}),
         "unverifiable": (SIGNED | {"hw_disk_bus": "virtio"}, {"verifies": False}),
         "full and unverifiable": (
             dict(list(FULL.items())[:MOST - 4]) | SIGNED, {"verifies": False}),
         "only a signature": (SIGNED, {}), "none": ({}, {})}


@pytest.mark.parametrize("case", list(CASES))
def test_an_image_comes_back_with_every_property_wherever_it_was_killed(case: str) -> None:
    properties, how = CASES[case]
    whole = Glance(**how)
    bank = MemoryBank()
    what = kept(bank, **properties)
    done = restored(whole, bank, what)
    for kill in range(whole.writes + 1):
        to = Glance(**how)
        to.kill = kill
        assert restored(to, bank, what).saved == done.saved, kill
        assert to.image is not None
        assert describe(to.image, disk=False)["properties"] == properties, kill
        assert "karbor_mark" not in to.image, kill
        assert to.image["status"] == "active"


def test_a_signature_that_cannot_be_verified_is_told_after_one_upload_in_vain() -> None:
    bank, to = MemoryBank(), Glance(verifies=False)
    done = restored(to, bank, kept(bank, **SIGNED))
    assert done.saved["not_restored"] == [{"field": "signature", "why": (
        "Glance could not verify it; the bytes are those that were kept, and it was put back "
        "unverified: Signature verification failed for image new: Unable to retrieve certificate "
        "with ID: cert")}]
    assert to.uploads == 2
    verified = Glance()
    assert restored(verified, bank, kept(bank, **SIGNED)).saved["not_restored"] == []
    assert verified.uploads == 1


def test_a_property_that_is_kept_for_operators_is_told() -> None:
    bank, to = MemoryBank(), Glance(reserved="os_level")
    done = restored(to, bank, kept(bank, os_level="9", hw_disk_bus="virtio", zone="z"))
    assert to.image is not None
    assert describe(to.image, disk=False)["properties"] == {"hw_disk_bus": "virtio", "zone": "z"}
    assert done.saved["not_restored"] == [
        {"field": "property os_level", "why": "Property 'os_level' is reserved."}]


def test_a_disk_bears_no_signature_of_its_base_image() -> None:
    assert describe(record(**SIGNED), disk=True)["properties"] == {"hw_disk_bus": "virtio"}
    assert describe(record(**SIGNED), disk=False)["properties"] == {"hw_disk_bus": "virtio",
                                                                    **SIGNED}


# -- Nova's image of a disk

def nova(listed: list[Any], *, full: bool) -> tuple[ScriptedCloud, list[Any]]:
    """It answers 500 to a request for an image with more properties than there may be."""
    asked: list[Any] = []

    def action(body: Any) -> Any:
        asked.append(body["createImage"])
        if full and body["createImage"]["metadata"]:
            raise CloudUnavailable("nova answered 500: Unexpected API Error", status=500)
        return {"image_id": "snap"}

    def matching(params: Any) -> list[Any]:
        [(name, value)] = params.items()
        # By name, Glance takes what stands before a colon for an operator.
        wanted = value.removeprefix("eq:") if name == "name" else value
        assert name != "name" or value.startswith("eq:")
        return [one for one in listed if one.get(name) == wanted]

    return ScriptedCloud(nova={"POST /servers/server/action": action},
                         glance={"LIST /images": matching}), asked


def test_where_there_is_no_room_for_a_property_the_name_is_the_mark() -> None:
    cloud, asked = nova([], full=True)
    assert Disk().create(StepOf(DISK, cloud)) == "snap"
    assert asked[-1] == {"name": StepOf.mark, "metadata": {}}
    cloud, _ = nova([{"id": "snap", "name": StepOf.mark}], full=True)
    assert Disk().find(StepOf(DISK, cloud)) == ["snap"]


def test_an_image_that_nova_made_though_it_answered_500_is_adopted() -> None:
    cloud, asked = nova([{"id": "made", "karbor_mark": StepOf.mark}], full=True)
    assert Disk().create(StepOf(DISK, cloud)) == "made"
    assert len(asked) == 1


def test_a_nova_that_does_not_answer_is_asked_again_later() -> None:
    def gone(body: Any) -> Any:
        raise CloudUnavailable("nova answered 503", status=503)

    cloud = ScriptedCloud(nova={"POST /servers/server/action": gone})
    with pytest.raises(CloudUnavailable):
        Disk().create(StepOf(DISK, cloud))
    assert [one for one in cloud.log if "POST" in one] == ["nova POST /servers/server/action"]


# -- beforehand

def target(cloud: ScriptedCloud, **properties: str) -> Target:
    image = {**describe(record(), disk=False), "properties": properties}
    return Target(cloud, GRAPH, lambda stage, one: {"size": len(DATA), "image": image},
                  lambda one: {})


@pytest.mark.parametrize(("answer", "line"), [
    ({"name": "certificate"}, "its signature is verified by Glance"),
    (CloudNotFound("Secret not found."),
     ("its signature cannot be verified by Glance and is put back unverified: certificate cert "
      "cannot be read: Secret not found."))])
def test_a_dry_run_says_what_becomes_of_a_signature(answer: Any, line: str) -> None:
    cloud = ScriptedCloud(barbican={"GET /secrets/cert": answer}, glance={})
    plugin = ImageProtection()
    assert list(plugin.restore_preview(PLAIN, target(cloud, **SIGNED)))[1:] == [line]
    assert list(plugin.restore_preview(PLAIN, target(cloud)))[1:] == []


def test_a_format_that_glance_does_not_take_here_is_an_obstacle() -> None:
    schema = {"properties": {"disk_format": {"enum": [None, "qcow2"]},
                             "container_format": {"enum": [None, "bare"]}}}
    cloud = ScriptedCloud(glance={"GET /schemas/image": schema})
    [found] = ImageProtection().restore_obstacles([PLAIN], target(cloud))
    assert found.what == "image cirros has the disk_format raw, which Glance does not take here"
