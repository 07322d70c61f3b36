"""What a service keeps in its bank beside checkpoints, on the real cloud."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from karbor.providers import builtin
from tests.cloud.conftest import Cloud
from tests.cloud.karbor_command import PROGRAM, Karbor
from tests.cloud.somebody import Somebody, new_somebody

PATIENCE = 90.0
CONFIGURATION = """
[DEFAULT]
state_path = {place}
osapi_karbor_listen = 127.0.0.1
osapi_karbor_listen_port = {port}
region_name = RegionOne
pickup_interval = 0.1
[schedule]
poll_interval = 1
[service_user]
auth_type = password
"""


class Service:
    """`karbor serve` in a process of its own, asked by one person; it is in no catalog."""

    def __init__(self, cloud: Cloud, place: Path, who: Somebody) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.file = place / "karbor.conf"
        account = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"]["karbor"]["auth"]
        self.file.write_text(CONFIGURATION.format(place=place, port=port) + "".join(
            f"{name} = {value}\n" for name, value in account.items()))
        self._url = f"http://127.0.0.1:{port}"
        self._place, self._who = place, who

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAM, *words, "--config-file", self.file], text=True,
                              capture_output=True, check=False, timeout=PATIENCE,
                              env={**os.environ, "HOME": str(self._place)})

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self._place / "log").open("ab") as log:
            process = subprocess.Popen([PROGRAM, "serve", "-v", "--config-file", self.file],
                                       stdout=log, stderr=log)
        try:
            until(self._answers, "karbor serve answers")
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE)

    def _answers(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self._url}/healthcheck", timeout=10).ok
        return False

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        with self._who.connection() as connection:
            answer = requests.request(
                method, f"{self._url}/v1/{self._who.project.id}{path}", json=body, timeout=60,
                headers={"X-Auth-Token": connection.auth_token})
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    def copied(self) -> bool:
        with contextlib.closing(sqlite3.connect(self._place / "karbor.sqlite")) as database:
            return not database.execute("SELECT 1 FROM record_changes").fetchall()

    def wipe(self) -> None:
        for one in self._place.glob("karbor.sqlite*"):
            one.unlink()


def until(condition: Any, what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {PATIENCE} s: {what}"
        time.sleep(0.2)
    return found


@pytest.fixture
def who(cloud: Cloud) -> Iterator[Somebody]:
    with new_somebody(cloud) as one:
        yield one


def test_schedules_come_back_with_their_trusts(cloud: Cloud, who: Somebody, tmp_path: Path) -> None:
    service = Service(cloud, tmp_path, who)
    with who.connection() as connection:
        image = connection.image.create_image(
            name="kept", disk_format="raw", container_format="bare", data=b"bytes" * 1000)
    with service.running() as process:
        plan = service("POST", "/plans", {"plan": {
            "name": "shop", "provider_id": builtin.ID, "parameters": {}, "resources": [
                {"id": image.id, "type": "OS::Glance::Image", "name": "kept"}]}})["plan"]
        trigger = service("POST", "/triggers", {"trigger_info": {
            "name": "nightly", "type": "time",
            "properties": {"format": "crontab", "pattern": "0 2 * * *"}}})["trigger_info"]
        made = service("POST", "/scheduled_operations", {"scheduled_operation": {
            "name": "nightly", "operation_type": "protect", "trigger_id": trigger["id"],
            "operation_definition": {"plan_id": plan["id"], "provider_id": builtin.ID}},
            })["scheduled_operation"]
        [trust] = who.trusts("karbor")
        until(service.copied, "everything is copied into the bank")
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    service.wipe()
    told = service.command("database", "rebuild", "-f", "json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["projects"] == {who.project.id: {
        "plans": 1, "triggers": 1, "scheduled_operations": 1}}
    with service.running():
        assert service("GET", "/plans")["plans"] == [plan]
        assert service("GET", "/scheduled_operations")["operations"] == [made]
        service("POST", f"/scheduled_operations/{made['id']}/run")
        path = f"/providers/{builtin.ID}/checkpoints"
        [kept] = until(lambda: [one for one in service("GET", path)["checkpoints"]
                                if one["status"] not in ("protecting",)], "the run is over")
        assert (kept["status"], kept["reason"]) == ("available", "")
        assert [one["id"] for one in who.trusts("karbor")] == [trust["id"]]
        service("DELETE", f"/scheduled_operations/{made['id']}")
        assert who.trusts("karbor") == []
        service("DELETE", f"{path}/{kept['id']}")
        until(lambda: not service("GET", path)["checkpoints"], "the checkpoint is deleted")
    with who.connection() as connection:
        connection.image.delete_image(image.id)


def test_a_verify_that_found_damage_is_seen_by_everybody(cloud: Cloud, who: Somebody,
                                                         tmp_path: Path) -> None:
    """Of a service's API, and of the command."""
    with who.connection() as connection:
        image = connection.image.create_image(
            name="kept", disk_format="raw", container_format="bare", data=b"bytes" * 1000)
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(yaml.safe_dump({"clouds": {"mine": who.entry()}}))
    service = Service(cloud, tmp_path, who)
    karbor = Karbor(tmp_path, clouds, "mine", {"KARBOR_CONFIG": str(service.file)})
    kept = karbor("protect", "kept", "-f", "json").json["checkpoint_id"]
    [piece] = (tmp_path / "bank").glob(f"objects/projects/{who.project.id}/vault/packs/*/*+b3")
    whole = piece.read_bytes()
    with service.running():
        path = f"/providers/{builtin.ID}/checkpoints/{kept}"
        assert service("GET", path)["checkpoint"]["verification"] is None
        piece.write_bytes(b"x" + whole[1:])
        ended = service("POST", "/verifications", {"verification": {
            "provider_id": builtin.ID, "checkpoint_id": kept}})["verification"]["id"]
        until(lambda: service("GET", f"/verifications/{ended}")["verification"]["status"] == "fail",
              "the verify is over")
        seen = until(lambda: (one := service("GET", path)["checkpoint"])["damaged"] and one,
                     "the checkpoint is told to be damaged")
        assert (seen["status"], seen["verification"]["operation_log_id"]) == ("available", ended)
        assert seen["reason"].startswith("a verify found damage: OS::Glance::Image kept: ")
    listed = karbor("checkpoint", "list", "-f", "json").json
    assert [(one["id"], one["damaged"]) for one in listed] == [(kept, True)]
    assert "DAMAGED" in karbor("checkpoint", "list").out
    dry = karbor("restore", kept, "--dry-run")
    assert "a verify found damage" in dry.err
    piece.write_bytes(whole)
    karbor("verify", kept)
    assert karbor("checkpoint", "list", "-f", "json").json[0]["damaged"] is False
    karbor("checkpoint", "delete", kept, "--yes")
    with who.connection() as connection:
        connection.image.delete_image(image.id)
