"""`make service-up`: Karbor as a service, from its registration to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from typing import Any

import requests

from dev.devcloud.settings import REPOSITORY
from karbor.providers import builtin
from tests.cloud.conftest import Cloud


def command(cloud: Cloud, word: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dev.service", word], cwd=REPOSITORY, text=True,
        env=os.environ | {"DEVCLOUD_STATE": str(cloud.state.root)}, capture_output=True,
        check=False)


def test_it_is_started_followed_and_stopped(cloud: Cloud) -> None:
    try:
        up = command(cloud, "up")
        assert up.returncode == 0, up.stdout + up.stderr
        pid = (cloud.state.root / "karbor" / "karbor.pid").read_text()
        again = command(cloud, "up")
        assert again.returncode == 0
        assert "registered" not in again.stderr         # nothing had to be done
        assert (cloud.state.root / "karbor" / "karbor.pid").read_text() == pid
        assert command(cloud, "status").returncode == 0
        follow(cloud)
        log = cloud.state.root / "karbor" / "karbor.log"
        os.kill(int(pid), 1)            # SIGHUP: it reads its configuration again, and goes on
        assert command(cloud, "status").returncode == 0
        end = time.monotonic() + 30
        while "the configuration was read again" not in log.read_text():
            assert time.monotonic() < end
            time.sleep(0.1)
        assert requests.get(f"http://{cloud.host}:8799/metrics", timeout=30).text.startswith("# ")
    finally:
        down = command(cloud, "down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert command(cloud, "status").returncode == 1


def follow(cloud: Cloud) -> None:
    """A protect that fails, because there is no such volume: told while it happens."""
    with cloud.connection("demo") as demo:
        def ask(method: str, path: str, **more: Any) -> Any:
            answer = demo.session.request(path, method, endpoint_filter={
                "service_type": "data-protect", "interface": "internal",
                "region_name": "RegionOne"}, **more)
            return answer.json()

        plan = ask("POST", "/plans", json={"plan": {
            "name": "gone", "provider_id": builtin.ID, "parameters": {}, "resources": [
                {"id": str(uuid.uuid4()), "type": "OS::Cinder::Volume", "name": "gone"}]}})["plan"]
        made = ask("POST", f"/providers/{builtin.ID}/checkpoints",
                   json={"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]
        url = demo.session.get_endpoint(service_type="data-protect", interface="public")
        with requests.get(f"{url}/operation_logs/{made['operation_log_id']}/events", stream=True,
                          headers={"X-Auth-Token": demo.auth_token, "Accept": "text/event-stream"},
                          timeout=60) as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            lines = [line for line in stream.iter_lines(decode_unicode=True) if line]
        end = json.loads(lines[-1].removeprefix("data: "))["operation_log"]
        assert lines[-2] == "event: end"
        assert end["status"] == "error"
        assert "gone" in end["error_info"]
        path = f"/providers/{builtin.ID}/checkpoints/{made['id']}"
        assert ask("GET", path)["checkpoint"]["reason"]
        demo.session.delete(f"{url}{path}")
        demo.session.delete(f"{url}/plans/{plan['id']}")
