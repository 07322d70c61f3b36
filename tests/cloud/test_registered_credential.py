"""A registered application credential that was removed in Keystone promises nothing any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dev.devcloud.settings import PASSWORD
from tests.cloud.conftest import Cloud
from tests.cloud.karbor_command import Karbor
from tests.cloud.small_application import until
from tests.cloud.somebody import Somebody, new_somebody

CONF = f"""
[service_user]
auth_type = password
auth_url = {{url}}
username = karbor
password = {PASSWORD}
project_name = service
user_domain_name = Default
project_domain_name = Default
[credentials]
strategy = {{strategy}}
"""
LONG = ("--hours", "100")       # longer than the user's token serves


@pytest.fixture(scope="module")
def somebody(cloud: Cloud) -> Iterator[Somebody]:
    with new_somebody(cloud) as one, one.connection() as mine:
        volume = mine.block_storage.create_volume(name="data", size=1)
        until("volume available",
              lambda: mine.block_storage.get_volume(volume).status == "available")
        yield one
        mine.block_storage.delete_volume(volume)
        until("volume gone", lambda: not list(mine.block_storage.volumes()))


@pytest.fixture
def karbor(somebody: Somebody, tmp_path: Path) -> Karbor:
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"mine": somebody.entry()}}))
    one = Karbor(tmp_path, tmp_path / "clouds.yaml", "mine",
                 {"KARBOR_CONFIG": str(tmp_path / "karbor.conf")})
    # While others are being made, Keystone's cache may not know a new role yet.
    configure(one, somebody, "application_credential")
    until("registered", lambda: one("credential", "register", expect=None).code == 0)
    return one


def configure(karbor: Karbor, one: Somebody, strategy: str) -> None:
    (karbor.home / "karbor.conf").write_text(
        CONF.format(url=one.cloud.auth_url, strategy=strategy))


def test_it_is_tried_before_anything_rests_on_it(karbor: Karbor, somebody: Somebody) -> None:
    karbor("protect", "data", "--dry-run", *LONG)
    report = karbor("doctor", "-f", "json", expect=None).json
    assert report["operation"]["until"] is None
    assert report["operation"]["refused"] == ""

    somebody.revoke_application_credentials()
    refused = karbor("protect", "data", "--dry-run", *LONG, expect=3)
    for words in ("was tried", "it was removed", "karbor credential register"):
        assert words in refused.complaint
    assert karbor("protect", "data", *LONG, expect=3).complaint == refused.complaint
    assert karbor("operation", "list", "-f", "json").json == []

    report = karbor("doctor", "-f", "json", expect=1).json
    assert report["operation"]["refused"]
    [found] = [one for one in report["findings"] if one["check"] == "application credential"]
    assert found["verdict"] == "warning"
    assert "karbor credential register" in found["fix"]


def test_what_lasts_long_enough_without_it_is_accepted(
        karbor: Karbor, somebody: Somebody) -> None:
    somebody.revoke_application_credentials()
    configure(karbor, somebody, "auto")
    told = karbor("protect", "data", "--dry-run", *LONG)        # by a trust
    assert "application credential" not in told.err
