"""An application of many servers in the double of OpenStack, and what else is in its project."""

from __future__ import annotations

from typing import Any

import requests
from karbor_testing.openstack import Double

PLAIN = {"domain": {"id": "default"}}


class Builder:
    """A user of the double's API, who makes things and waits for nothing."""

    def __init__(self, double: Double) -> None:
        self._url = double.url
        self._session = requests.Session()
        auth = double.cloud("demo")["auth"]
        answer = self._session.post(f"{double.auth_url}/auth/tokens", timeout=30, json={
            "auth": {"identity": {"methods": ["password"], "password": {"user": {
                "name": auth["username"], "password": auth["password"], **PLAIN}}},
                "scope": {"project": {"name": auth["project_name"], **PLAIN}}}})
        answer.raise_for_status()
        self._session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        self._session.headers["OpenStack-API-Version"] = "compute 2.96,volume 3.70"

    def ask(self, method: str, path: str, body: Any = None, data: bytes | None = None) -> Any:
        answer = self._session.request(
            method, f"{self._url}/{path}", json=body, data=data, timeout=30,
            headers={"Content-Type": "application/octet-stream"} if data is not None else {})
        answer.raise_for_status()
        return answer.json() if answer.text.startswith(("{", "[")) else None

    def make(self, path: str, kind: str, **wanted: Any) -> str:
        made: dict[str, Any] = self.ask("POST", path, {kind: wanted})[kind]
        return str(made["id"])


def build(double: Double, servers: int, volumes: int, unrelated: int) -> list[str]:
    """Servers on one network, each booted from an image and with so many volumes, and volumes that
    nobody asks about. The names of the servers."""
    double.set(looks={"*": -1})
    person, neutron = Builder(double), "network/v2.0"
    network = person.make(f"{neutron}/networks", "network", name="net")
    person.make(f"{neutron}/subnets", "subnet", network_id=network, ip_version=4,
                cidr="10.9.0.0/20", name="subnet")
    image = str(person.ask("POST", "image/v2/images", {
        "name": "image", "disk_format": "raw", "container_format": "bare"})["id"])
    person.ask("PUT", f"image/v2/images/{image}/file", data=b"a disk before its first boot")
    names = [f"server-{number}" for number in range(servers)]
    for name in names:
        port = person.make(f"{neutron}/ports", "port", network_id=network, name=f"{name}-port")
        server = person.make("compute/v2.1/servers", "server", name=name, flavorRef="1",
                             imageRef=image, networks=[{"port": port}])
        double.write("nova.server", server, b"a disk")
        for number in range(volumes):
            volume = person.make("volume/v3/volumes", "volume", name=f"{name}-{number}", size=1)
            person.ask("POST", f"compute/v2.1/servers/{server}/os-volume_attachments",
                       {"volumeAttachment": {"volumeId": volume}})
            double.write("cinder.volume", volume, b"data")
    for number in range(unrelated):
        person.make("volume/v3/volumes", "volume", name=f"other-{number}", size=1)
    double.forget_log()
    return names
