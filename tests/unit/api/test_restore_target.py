"""`restore_target`: every address of this cloud's Keystone is this cloud, and no other is."""

from __future__ import annotations

import pytest

from tests.unit.api.conftest import PROVIDER, Api

ABSENT = "33333333-3333-4333-8333-333333333333"


def restore(api: Api, target: str | None, status: int) -> str:
    answer = api("POST", "/restores", {"restore": {
        "provider_id": PROVIDER, "checkpoint_id": ABSENT, "parameters": {},
        "restore_target": target}}, status=status)
    return str(next(iter(answer.json.values()))["message"])


@pytest.mark.parametrize("target", [
    None, "", "http://keystone/v3", "http://keystone", "HTTP://Keystone:80/", "http://keystone/V3/",
    "https://cloud.example:5000", "https://CLOUD.example:5000/v3", "https://cloud.example:5000/v2.0",
    "https://cloud.example.:5000/", "http://10.0.0.1/identity/v3", "http://10.0.0.1:80/identity/",
    "http://[fd00::1]:35357", "http://[FD00::1]:35357/v3/", " https://cloud.example:5000/v3 "])
def test_this_cloud_under_any_of_its_addresses(api: Api, target: str | None) -> None:
    """It goes on to look for the checkpoint, of which there is none."""
    assert "could not be found" in restore(api, target, 404)


@pytest.mark.parametrize("target", [
    "https://cloud.example", "http://cloud.example:5000/v3", "https://cloud.example:5000/v3/users",
    "http://10.0.0.1/", "http://10.0.0.1/other", "https://nova.example", "https://elsewhere/v3",
    "https://user@cloud.example:5000/v3", "https://cloud.example:5000/v3?x=1", "keystone",
    "http://[", "https://cloud.example:99999/v3", "https://cloud.example:x", "\u0130", "/v3"])
def test_any_other_is_refused(api: Api, target: str) -> None:
    message = restore(api, target, 400)
    assert message.startswith("Karbor restores into its own cloud only (http://keystone/v3, "
                              "https://cloud.example:5000/v3/, http://10.0.0.1/identity, "), message
