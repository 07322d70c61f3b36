"""What a protect sends, held; and that the cost of the API can be measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dev.benchmarks.api.__main__ import main as api
from dev.benchmarks.requests.measure import protect


def test_what_a_protect_sends_does_not_grow_with_what_is_beside_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "")     # measured with another one; put back here
    few = protect(2, 2, 0, tmp_path / "few")
    # Per server an image made, fetched and removed; per volume a snapshot made and removed, and a
    # backup: what nobody can save.
    assert few.unavoidable == 2 * 3 + 4 * 3
    assert (few.proofs, few.tags) == (4 * 2, 2 * 2)
    many = protect(2, 2, 120, tmp_path / "many")
    assert (many.unavoidable, many.proofs, many.tags) == (few.unavoidable, few.proofs, few.tags)
    # How often one looks depends on how fast the machine is; a request for each would be 120 more.
    assert many.looks < few.looks + 30
    assert many.beforehand == few.beforehand


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
