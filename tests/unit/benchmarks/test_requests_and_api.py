"""What a protect sends, held; and that the cost of the API can be measured."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest
import requests

import karbor
from dev.benchmarks.api.__main__ import main as api
from dev.benchmarks.requests.measure import protect
from karbor.credentials.transport import Transport

MOST_FRAMES = 12
"""Between a step that is entered and its request, with one for keystoneauth and one for the
transport."""


def ways(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The functions of Karbor through which each backup is asked for, as they come about."""
    told: list[list[str]] = []
    send, package = Transport.send, str(Path(karbor.__file__).parent)

    def seen(self: Transport, request: requests.PreparedRequest, **options: Any
             ) -> requests.Response:
        if request.method == "POST" and str(request.url).endswith("/backups"):
            told.append([frame.name for frame in traceback.extract_stack()
                         if frame.filename.startswith(package)])
        return send(self, request, **options)

    monkeypatch.setattr(Transport, "send", seen)
    return told


def test_what_a_protect_sends_does_not_grow_with_what_is_beside_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "")     # measured with another one; put back here
    to_cinder = ways(monkeypatch)
    few = protect(2, 2, 0, tmp_path / "few")
    # Per server an image made, fetched and removed; per volume a snapshot made and removed, and a
    # backup: what nobody can save.
    assert few.unavoidable == 2 * 3 + 4 * 3
    assert (few.proofs, few.tags) == (4 * 2, 2 * 2)
    assert len(to_cinder) == 4
    assert all(len(way) + 2 <= MOST_FRAMES for way in to_cinder), to_cinder
    many = protect(2, 2, 120, tmp_path / "many")
    assert (many.unavoidable, many.proofs, many.tags) == (few.unavoidable, few.proofs, few.tags)
    # How often one looks depends on how fast the machine is; a request for each would be 120 more.
    assert many.looks < few.looks + 30
    assert many.beforehand == few.beforehand


def test_what_a_command_has_looked_up_is_not_looked_up_again(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its draft asked for the quotas and found nothing in the way: planning asks for neither."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "")
    accepted = protect(1, 1, 0, tmp_path / "one")
    assert accepted.beforehand > 0
    assert [request for request in accepted.requests
            if "quota" in request or "os-services" in request or "usage" in request] == []


def test_short_pages_lower_no_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every backup is proved by its objects, though no page of a list shows them all."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "")
    found = protect(3, 2, 8, tmp_path / "few", pages={
        "object-store": 5, "volume": 2, "compute": 2, "image": 1, "network": 1})
    assert found.evidence == "objects"
    assert (found.unavoidable, found.proofs, found.tags) == (3 * 3 + 6 * 3, 6 * 2, 3 * 2)


def test_how_often_one_looks_does_not_grow_with_what_is_protected(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look at each thing would be 160 for 20 servers with two volumes: 20 images at three
    stages and 40 volumes, snapshots and backups. Lists are as many as there are seconds."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "")
    many = protect(20, 2, 0, tmp_path / "many")
    assert (many.unavoidable, many.proofs, many.tags) == (20 * 3 + 40 * 3, 40 * 2, 20 * 2)
    alone = {request: count for request, count in many.requests.items()
             if request.startswith("GET") and request.endswith("/{id}")}
    assert sum(alone.values()) < 40, alone


def test_the_cost_of_the_api_can_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert api(["--times", "2", "--rounds", "2", "--checkpoints", "150", "--resources", "20",
                "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["routes"]] == [
        "a bare application", "show a plan", "list 100 plans", "list quotas"]
    assert found["routes"][0]["ratio"] == 1
    assert len(found["single"]) == 4
