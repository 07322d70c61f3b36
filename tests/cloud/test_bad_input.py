"""What cannot be done is said in one line, with an exit code of its own, before anything is
touched: on the real cloud, through the real command."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openstack.connection import Connection

from dev.devcloud import ports
from dev.devcloud.settings import PASSWORD
from karbor.banks.directory import DirectoryBank
from karbor.checkpoints.repository import CheckpointRepository
from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.identifiers import time_ordered_uuid
from karbor.domain.resource import VOLUME, Resource, ResourceGraph
from tests.cloud.karbor_command import Karbor
from tests.cloud.small_application import until

PREFIX = "test-bad-"


@pytest.fixture(scope="module")
def demo(cloud: Any) -> Iterator[Connection]:
    with cloud.connection("demo") as connection:
        yield connection


@pytest.fixture(scope="module")
def admin(cloud: Any) -> Iterator[Connection]:
    with cloud.connection("admin") as connection:
        yield connection


@pytest.fixture
def karbor(cloud: Any, tmp_path: Path) -> Karbor:
    return Karbor(tmp_path, cloud.clouds_yaml)


@pytest.fixture
def other_clouds(cloud: Any, karbor: Karbor) -> dict[str, Any]:
    """The entry of demo, to be changed and written with `write`."""
    entry: dict[str, Any] = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"]["demo"]
    karbor.clouds_yaml = karbor.home / "clouds.yaml"
    return entry


def write(karbor: Karbor, entry: dict[str, Any]) -> None:
    karbor.clouds_yaml.write_text(yaml.safe_dump({"clouds": {"demo": entry}}))


@pytest.fixture(scope="module")
def volume(demo: Connection) -> Iterator[str]:
    made = demo.block_storage.create_volume(name=f"{PREFIX}volume", size=1)
    until("volume available", lambda: demo.block_storage.get_volume(made).status == "available")
    yield made.id
    demo.block_storage.delete_volume(made, cascade=True)


def nothing_was_done(karbor: Karbor, cloud: str = "demo") -> bool:
    return karbor("operation", "list", "-f", "json", cloud=cloud).json == []


# ---------------------------------------------------------------- who asks
def test_an_unknown_cloud(karbor: Karbor) -> None:
    told = karbor("protect", "x", cloud="nowhere", expect=2)
    assert "no cloud is called nowhere" in told.complaint
    assert "demo" in told.complaint


def test_a_wrong_password(karbor: Karbor, other_clouds: dict[str, Any]) -> None:
    other_clouds["auth"]["password"] = "wrong"
    write(karbor, other_clouds)
    told = karbor("protect", "x", expect=3)
    assert "Keystone refused the login of cloud demo" in told.complaint
    assert "wrong" not in told.err.replace("user name, password", "")


def test_an_unreachable_keystone(karbor: Karbor, other_clouds: dict[str, Any]) -> None:
    other_clouds["auth"]["auth_url"] = "http://127.0.0.1:9/v3"
    write(karbor, other_clouds)
    assert "127.0.0.1:9" in karbor("protect", "x", expect=3).complaint


def test_a_service_user_without_the_service_role(karbor: Karbor, cloud: Any) -> None:
    conf = karbor.home / "karbor.conf"
    auth = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"]["noservice"]["auth"]
    conf.write_text("\n".join(["[service_user]", "auth_type = password",
                               *(f"{name} = {value}" for name, value in auth.items())]))
    told = karbor("--config-file", str(conf), "protect", "x", expect=3)
    assert "lacks the role service" in told.complaint
    assert "role add" in told.complaint


# ---------------------------------------------------------------- what is asked for
def test_an_unknown_resource(karbor: Karbor) -> None:
    told = karbor("protect", f"{PREFIX}nothing", expect=2)
    assert f"nothing in project demo is called {PREFIX}nothing" in told.complaint
    assert nothing_was_done(karbor)


def test_an_ambiguous_resource(karbor: Karbor, demo: Connection) -> None:
    twins = [demo.block_storage.create_volume(name=f"{PREFIX}twin", size=1) for _ in range(2)]
    try:
        told = karbor("protect", f"{PREFIX}twin", expect=2)
        assert all(f"volume:{one.id}" in told.complaint for one in twins)
        assert nothing_was_done(karbor)
    finally:
        for one in twins:
            until("twin at rest", lambda one=one: demo.block_storage.get_volume(
                one).status == "available")
            demo.block_storage.delete_volume(one)


def test_a_resource_of_another_project(karbor: Karbor, volume: str) -> None:
    told = karbor("protect", f"volume:{volume}", cloud="demo2", expect=2)
    assert "nothing in project demo2 is called" in told.complaint


def test_an_option_that_no_plugin_has(karbor: Karbor, volume: str) -> None:
    told = karbor("protect", volume, "--param", "volume:colour=red", expect=2)
    assert ("there is no option colour (it takes: backup_mode, backup_name, container, "
            "description, force)") in told.complaint
    told = karbor("protect", volume, "--param", "volume:backup_mode=differential", expect=2)
    assert "one of full, incremental, auto" in told.complaint


def test_a_quota_that_would_be_exceeded(karbor: Karbor, demo: Connection, admin: Connection,
                                        volume: str) -> None:
    project = demo.current_project_id
    path = f"/os-quota-sets/{project}"
    quota = admin.block_storage.get(path, params={"usage": "true"}).json()["quota_set"]["backups"]
    try:
        admin.block_storage.put(path, json={"quota_set": {"backups": quota["in_use"]}})
        told = karbor("protect", volume, expect=2)
    finally:
        admin.block_storage.put(path, json={"quota_set": {"backups": quota["limit"]}})
    assert "cannot be protected as it stands" in told.complaint
    assert "backups" in told.err
    assert nothing_was_done(karbor)


@contextlib.contextmanager
def without_cinder_backup(cloud: Any) -> Iterator[None]:
    """Disabled in Cinder's database, for seconds: its API (release 29) says that it disables and
    enables a service, and changes nothing."""
    def disabled(number: int) -> None:
        subprocess.run(
            ["mariadb", "--user=devcloud", f"--password={PASSWORD}", f"--host={cloud.host}",
             f"--port={ports.MARIADB}", "cinder", "--execute",
             f"UPDATE services SET disabled = {number} WHERE `binary` = 'cinder-backup'"],
            check=True, capture_output=True)
    disabled(1)
    try:
        yield
    finally:
        disabled(0)


def test_no_cinder_backup_service(karbor: Karbor, cloud: Any, admin: Connection) -> None:
    """Cinder tells an administrator. A member may not ask: theirs is the backup that fails, which
    the volume plugin's own tests show."""
    own = admin.block_storage.create_volume(name=f"{PREFIX}admin", size=1)
    until("volume available", lambda: admin.block_storage.get_volume(own).status == "available")
    try:
        with without_cinder_backup(cloud):
            told = karbor("protect", own.id, cloud="admin", expect=2)
    finally:
        admin.block_storage.delete_volume(own)
    assert "no cinder-backup service is running" in told.err
    assert nothing_was_done(karbor, "admin")


def test_a_reader_is_told_in_the_dry_run(karbor: Karbor, volume: str) -> None:
    told = karbor("protect", volume, "--dry-run", cloud="reader", expect=2)
    assert "has no role in project demo but reader, which only reads" in told.err
    assert nothing_was_done(karbor)


# ---------------------------------------------------------------- the bank
@pytest.fixture
def kept(karbor: Karbor, demo: Connection) -> Checkpoint:
    """A checkpoint of nothing but its own description, in the bank of demo's project."""
    graph = ResourceGraph.build([Resource(VOLUME, "6d81", "data")], lambda level: {})
    checkpoints = CheckpointRepository(bank(karbor), demo.current_project_id)
    made = Checkpoint(time_ordered_uuid(time.time()), demo.current_project_id, "described",
                      time.time(), CheckpointState.AVAILABLE, graph)
    checkpoints.begin(made)
    checkpoints.conclude(made)
    return made


def bank(karbor: Karbor) -> DirectoryBank:
    return DirectoryBank({"path": str(karbor.state / "bank")})


def test_a_damaged_object_of_the_bank(karbor: Karbor, kept: Checkpoint) -> None:
    assert "described" in karbor("checkpoint", "list").out
    [file] = [one for one in (karbor.state / "bank").rglob("*") if one.is_file()
              and b'"state": "available"' in one.read_bytes()]
    file.write_bytes(file.read_bytes().replace(b"available", b"availabel"))
    for command in (("checkpoint", "show"), ("restore",), ("verify",),
                    ("checkpoint", "delete", "--yes")):
        told = karbor(*command, kept.id, expect=5)
        assert kept.id in told.complaint
    listed = karbor("checkpoint", "list", expect=5)     # the others would be shown
    assert kept.id in listed.complaint


def test_a_checkpoint_of_another_project_in_the_same_bank(karbor: Karbor, kept: Checkpoint
                                                          ) -> None:
    assert kept.id in karbor("checkpoint", "list").out
    assert karbor("checkpoint", "list", "--all", "-f", "json", cloud="demo2").json == []
    for command in (("checkpoint", "show"), ("restore",), ("verify",),
                    ("checkpoint", "delete", "--yes")):
        for word in (kept.id, kept.name):
            told = karbor(*command, word, cloud="demo2", expect=2)
            assert f"this project has no checkpoint {word}" in told.complaint
    assert karbor("checkpoint", "show", kept.id, "-f", "json").json["state"] == "available"


def test_a_checkpoint_of_a_newer_format(karbor: Karbor, kept: Checkpoint) -> None:
    key = f"projects/{kept.project_id}/checkpoints/{kept.id}/begin.json"
    bank(karbor).put(key, [b'{"format": 99}'])
    told = karbor("restore", kept.id, expect=5)
    assert "format 99" in told.complaint


@pytest.fixture
def small_disk(karbor: Karbor) -> Iterator[Path]:
    """A file system of 100 KiB where the bank would be."""
    root = karbor.state / "bank"
    root.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", root],
                             capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield root
    finally:
        subprocess.run(["umount", root], check=True)


def test_a_full_bank(karbor: Karbor, small_disk: Path, volume: str) -> None:
    karbor("checkpoint", "list")
    (small_disk / "incoming" / "ballast").write_bytes(bytes(70_000))
    assert "No space left" in karbor("protect", volume, expect=5).complaint
    assert nothing_was_done(karbor)


def test_a_read_only_bank(karbor: Karbor, small_disk: Path, volume: str) -> None:
    karbor("checkpoint", "list")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert "read-only" in karbor("protect", volume, expect=5).complaint.lower()
    assert nothing_was_done(karbor)
    assert karbor("checkpoint", "list", "-f", "json").json == []


def test_a_bank_that_becomes_read_only_while_it_is_written_to(
        karbor: Karbor, small_disk: Path, volume: str) -> None:
    """The operation stands where it was, and goes on when the bank may be written to again."""
    karbor("checkpoint", "list")
    running = karbor.begin("protect", volume, "--name", "stopped")
    identity = running.until(r"operation +([0-9a-f-]{36})").group(1)
    running.until(r"backup …")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    stopped = running.end()
    assert stopped.code == 5, stopped
    assert "read-only" in stopped.err.lower()
    assert f"go on with: karbor operation resume {identity}" in stopped.err
    [again] = karbor("operation", "list", "-f", "json").json
    assert (again["state"], again["interrupted"]) == ("running", True)

    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    resumed = karbor("operation", "resume", identity)
    assert "stopped: protected" in resumed.err
    assert "backup …" not in resumed.err        # it was made before
    [made] = karbor("checkpoint", "list", "-f", "json").json
    assert made["state"] == "available"
    karbor("checkpoint", "delete", "stopped", "--yes")
