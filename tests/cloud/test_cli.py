"""The command line on the real cloud: a life of one small application."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openstack.connection import Connection

from tests.cloud.karbor_command import Karbor
from tests.cloud.small_application import SmallApplication, small_application

PREFIX = "test-cli-"


@pytest.fixture(scope="module")
def demo(cloud: Any) -> Iterator[Connection]:
    with cloud.connection("demo") as connection:
        yield connection


@pytest.fixture(scope="module")
def application(demo: Connection) -> Iterator[SmallApplication]:
    with small_application(demo, PREFIX) as built:
        yield built


@pytest.fixture(scope="module")
def karbor(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> Karbor:
    return Karbor(tmp_path_factory.mktemp("home"), cloud.clouds_yaml)


def marks(connection: Connection, operation: str) -> list[str]:
    """What in the cloud bears the mark of an operation."""
    storage = connection.block_storage
    found = [*storage.snapshots(), *storage.volumes()]
    marked = [one.id for one in found
              if (one.metadata or {}).get("karbor_mark", "").startswith(f"karbor:{operation}")]
    backups = connection.block_storage.get(
        "/backups/detail", microversion="3.43").json()["backups"]
    return marked + [one["id"] for one in backups if
                     (one.get("metadata") or {}).get("karbor_mark", "")
                     .startswith(f"karbor:{operation}")]


def test_the_life_of_a_checkpoint(karbor: Karbor, application: SmallApplication,
                                  demo: Connection) -> None:
    tree = karbor("resources").out
    assert f"  server {application.server_name}" in tree
    assert f"    volume {PREFIX}data" in tree

    preview = karbor("protect", application.server_name, "--dry-run", "-f", "json").json
    assert {one["type"].split("::")[-1] for one in preview["graph"]["resources"]} == {
        "Server", "Image", "Volume", "Network"}
    assert karbor("checkpoint", "list", "-f", "json").json == []

    made = karbor("protect", application.server_name, "--name", "first", "-f", "json").json
    assert made["state"] == "done"
    assert made["checkpoint"]["state"] == "available"
    assert marks(demo, made["id"]) == [
        next(one["saved"]["backup"]["id"] for one in made["checkpoint"]["kept"]
             if "Volume" in one["key"])]

    [listed] = karbor("checkpoint", "list", "-f", "json").json
    assert listed["id"] == made["checkpoint_id"]
    shown = karbor("checkpoint", "show", "first")
    assert "skew" in shown.out
    assert "volume, full" in shown.out
    assert "not kept  server" in shown.out

    assert "checksums" in karbor("verify", listed["id"][:13]).out

    again = karbor("restore", "first", "--name", f"{application.server_name}={PREFIX}web2",
                   "-f", "json").json
    new = {one["type"]: one for one in again["result"]["restored"] if one.get("id")}
    server = demo.compute.get_server(new["OS::Nova::Server"]["id"])
    assert server.name == f"{PREFIX}web2"
    assert [one.id for one in server.attached_volumes] == [new["OS::Cinder::Volume"]["id"]]

    told = karbor("protect", f"volume:{PREFIX}data", expect=2).complaint
    assert re.search(rf"volume:{new['OS::Cinder::Volume']['id']} \(made 20[-0-9]+ [:0-9]+ UTC, by "
                     rf"the restore of first\), volume:{application.volume} \(made [^,]+ UTC\)",
                     told), told

    karbor("checkpoint", "delete", "first", "--yes")
    assert karbor("checkpoint", "list", "-f", "json").json == []
    assert marks(demo, made["id"]) == []
    verbs = [one["verb"] for one in karbor("operation", "list", "-f", "json").json]
    assert verbs == ["delete", "restore", "verify", "protect"]


def test_control_c_leaves_an_operation_that_can_be_resumed(
        karbor: Karbor, application: SmallApplication, demo: Connection) -> None:
    running = karbor.begin("protect", application.volume, "--name", "interrupted")
    identity = running.until(r"operation +([0-9a-f-]{36})").group(1)
    running.until(r"backup …")
    running.process.send_signal(signal.SIGINT)
    left = running.end()
    assert left.code == 130, left
    assert f"karbor operation resume {identity}" in left.err

    [row] = [one for one in karbor("operation", "list", "-f", "json").json
             if one["id"] == identity]
    assert row["interrupted"]
    assert "interrupted" in karbor("checkpoint", "list").out
    refused = karbor("checkpoint", "delete", "interrupted", "--yes", expect=6)
    assert identity in refused.complaint

    resumed = karbor("operation", "resume", identity[:8])
    assert "available" in resumed.out
    assert len(marks(demo, identity)) == 1      # the backup, once; no snapshot
    assert "is over" in karbor("operation", "resume", identity, expect=6).complaint
    karbor("checkpoint", "delete", "interrupted", "--yes")


@pytest.fixture
def vouched(karbor: Karbor, cloud: Any) -> Karbor:
    """The same person's, with [service_user] configured."""
    auth = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"]["karbor"]["auth"]
    conf = karbor.home / "karbor.conf"
    conf.write_text("\n".join(["[service_user]", "auth_type = password",
                               *(f"{name} = {value}" for name, value in auth.items())]))
    return Karbor(karbor.home, karbor.clouds_yaml, extra={"KARBOR_CONFIG": str(conf)})


def test_what_a_killed_process_left_can_be_cancelled(
        vouched: Karbor, application: SmallApplication, demo: Connection) -> None:
    """By another process, which has only the sealed token of the first and the service user."""
    karbor = vouched
    running = karbor.begin("protect", application.volume, "--name", "killed")
    identity = running.until(r"operation +([0-9a-f-]{36})").group(1)
    running.until(r"user \+ service token of cloud demo")
    running.until(r"can run +until 20")
    running.until(r"backup …")
    running.process.kill()
    running.end()
    assert "interrupted" in karbor("operation", "show", identity).out
    assert "cancelled" in karbor("operation", "cancel", identity).err
    assert marks(demo, identity) == []
    [found] = karbor("checkpoint", "list", "-f", "json").json
    assert (found["name"], found["state"]) == ("killed", "error")
    karbor("checkpoint", "delete", "killed", "--yes")
    assert karbor("checkpoint", "list", "--all", "-f", "json").json == []


def test_a_running_operation_is_cancelled_from_another_process(
        karbor: Karbor, application: SmallApplication, demo: Connection) -> None:
    running = karbor.begin("protect", application.volume, "--name", "cancelled")
    identity = running.until(r"operation +([0-9a-f-]{36})").group(1)
    running.until(r"snapshot …")
    assert "is being driven" in karbor("operation", "resume", identity, expect=6).complaint
    karbor("operation", "cancel", identity[:12])
    driven = running.end()
    assert driven.code == 1
    assert "cancelled" in driven.complaint
    assert marks(demo, identity) == []
    karbor("checkpoint", "delete", "cancelled", "--yes")


def test_lists_need_no_login(karbor: Karbor, tmp_path: Path) -> None:
    """Once it is known which project the login is for, nobody is asked, and no SDK is imported."""
    karbor("operation", "list")
    broken = Karbor(karbor.home, karbor.clouds_yaml, extra={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = broken("operation", "list").err
    assert "karbor.store.operations" in imported
    assert "| openstack" not in imported.replace("  ", "")
