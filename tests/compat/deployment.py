"""Karbor as a service of the development cloud, registered in Keystone as an operator does."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.cloud.conftest import Cloud

PATIENCE = 60.0
SERVICE_TYPE = "data-protect"

CONFIGURATION = """
[DEFAULT]
state_path = {place}
host = compat
osapi_karbor_listen = 127.0.0.1
osapi_karbor_listen_port = {port}
region_name = RegionOne
pickup_interval = 0.1
report_interval = 1
[schedule]
min_interval = 2
min_window_time = 1
max_window_time = 3600
poll_interval = 1
[service_user]
auth_type = password
"""
PROVIDER = """
[provider]
name = {name}
description = {name} of the tests
id = {id}
bank = karbor-fs-bank-plugin
enabled = True
{plugins}
[file_system_bank_plugin]
file_system_bank_path = {place}/bank-{name}
"""
REAL = ("volume", "image", "server", "network", "project")


@dataclass(frozen=True)
class Deployment:
    """`real` keeps what it protects, `facts` only says so: it is quick."""

    url: str
    real: str
    facts: str
    log: pathlib.Path


@contextlib.contextmanager
def deployed(cloud: Cloud, place: pathlib.Path) -> Iterator[Deployment]:
    """`karbor serve` in a process of its own, and its endpoint in the catalog."""
    port = _free_port()
    account = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"]["karbor"]["auth"]
    (place / "karbor.conf").write_text(
        CONFIGURATION.format(place=place, port=port)
        + "".join(f"{name} = {value}\n" for name, value in account.items()))
    (place / "providers.d").mkdir()
    made = Deployment(f"http://127.0.0.1:{port}", str(uuid.uuid4()), str(uuid.uuid4()),
                      place / "log")
    for name, id, plugins in (
            ("real", made.real, [f"karbor-{one}-protection-plugin" for one in REAL]),
            ("facts", made.facts, ["karbor-noop-protection-plugin"])):
        (place / "providers.d" / f"{name}.conf").write_text(PROVIDER.format(
            name=name, id=id, place=place, plugins="\n".join(f"plugin = {one}"
                                                             for one in plugins)))
    with _registered(cloud, made.url), made.log.open("w") as log:
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("OS_")}
        serving = subprocess.Popen(
            [pathlib.Path(sys.executable).with_name("karbor"), "serve", "-v",
             "--config-file", place / "karbor.conf"],
            stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            _answers(made, serving)
            yield made
        finally:
            serving.terminate()
            serving.wait(PATIENCE)


@contextlib.contextmanager
def _registered(cloud: Cloud, url: str) -> Iterator[None]:
    """What others have registered is taken away: a catalog with two of them is ambiguous."""
    with cloud.connection("admin") as admin:
        identity: Any = admin.identity
        _unregister(identity)
        service = identity.create_service(name="karbor", type=SERVICE_TYPE)
        identity.create_endpoint(service_id=service.id, interface="public", region_id="RegionOne",
                                 url=f"{url}/v1/$(project_id)s")
        try:
            yield
        finally:
            identity.delete_service(service)


def _unregister(identity: Any) -> None:
    for one in list(identity.services(type=SERVICE_TYPE)):
        identity.delete_service(one)


def _answers(made: Deployment, serving: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while serving.poll() is None and time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError), \
                urllib.request.urlopen(f"{made.url}/healthcheck"):
            return
        time.sleep(0.1)
    raise AssertionError(f"karbor serve does not answer:\n{made.log.read_text()}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
