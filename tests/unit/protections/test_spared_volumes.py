"""The volumes of a server that could not be built are there for the next try."""

from __future__ import annotations

from typing import Any

import pytest

from karbor.domain.resource import SERVER, Resource
from karbor.domain.step import Again
from karbor.protections.nova import undo
from tests.unit.protections.scripted import ScriptedCloud, StepOf

ATTACHED = [{"volumeId": "goes", "delete_on_termination": True},
            {"volumeId": "stays", "delete_on_termination": False}]


def removed(version: str) -> list[tuple[str, Any]]:
    """What Nova is asked to change for the removal of a failed server, in order."""
    attachments = "/servers/new/os-volume_attachments"
    cloud = ScriptedCloud(
        {"nova.server#new": {"id": "new", "status": "ERROR"}}, neutron={},
        nova={"GET /": {"version": {"version": version}}, f"LIST {attachments}": ATTACHED,
              f"PUT {attachments}/goes": {}, "DELETE /servers/new": None})
    outcome = undo.undo(StepOf(Resource(SERVER, "s", "web"), cloud,
                               handle={"server": "new"}))
    assert isinstance(outcome, Again)
    return [one for one in cloud.api("nova").sent if one[0].startswith(("PUT", "DELETE"))]


def test_they_do_not_go_with_it() -> None:
    assert removed("2.90") == [
        ("PUT /servers/new/os-volume_attachments/goes",
         {"volumeAttachment": {"volumeId": "goes", "delete_on_termination": False}}),
        ("DELETE /servers/new", None)]


@pytest.mark.parametrize(("version", "spares"), [("2.84", False), ("2.85", True), ("2.90", True)])
def test_a_nova_that_cannot_be_told_so_is_known(version: str, spares: bool) -> None:
    assert undo.spares_volumes(version) is spares


def test_a_nova_that_cannot_be_told_so_is_not_asked() -> None:
    assert removed("2.84") == [("DELETE /servers/new", None)]
