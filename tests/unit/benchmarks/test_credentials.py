"""The measurements can be made: a few requests of each, and what the results consist of."""

from __future__ import annotations

import json

import pytest

from dev.benchmarks.credentials import logins, report
from dev.benchmarks.credentials.__main__ import machine, main
from dev.benchmarks.credentials.stand_in import catalog, stand_in


def test_requests_and_look_ups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wrapper", "lookups", "--times", "2", "--rounds", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"cpu", "cores", "python", "keystoneauth1"} <= found["machine"].keys()
    assert [one["name"] for one in found["wrapper"]["requests"]] == [
        "keystoneauth, user's token only", "keystoneauth, ServiceTokenAuthWrapper",
        "Karbor, user's token only", "Karbor, user's and service token",
        "Karbor, both, as an operation has it"]
    assert [one["endpoints"] for one in found["lookups"]["catalogs"]] == [40, 500]
    for rows in (found["wrapper"]["requests"], found["wrapper"]["headers"],
                 *(one[kind] for one in found["lookups"]["catalogs"]
                   for kind in ("lookups", "requests"))):
        assert rows[0]["ratio"] == 1
        assert all(row["cpu_seconds_per_1000"] > 0 for row in rows)
    text = report.text(found)
    assert "catalog of 500 endpoints" in text
    assert "Karbor, user's and service token" in text


def test_crowds_and_their_logins() -> None:
    with stand_in(life=2.0) as url:
        found = logins.measure(f"{url}/v3", users=[1, 3], lives=2, pace=0.2)
    assert (found["token_life"], found["renewed_after"]) == (2.0, 1.0)
    assert [one["users"] for one in found["crowds"]] == [1, 3]
    for one in found["crowds"]:
        assert one["requests"] >= one["users"]
        assert one["logins"] == one["service_tokens_seen"]
        assert one["one_per_life"] is (one["logins"] == one["lives"])
    text = report.text({"machine": machine(), "logins": found})
    assert "service tokens seen" in text


def test_a_catalog_has_as_many_endpoints_as_asked_for() -> None:
    for size in (1, 40, 42, 500):
        assert sum(len(one["endpoints"]) for one in catalog("http://k", size)) == size
