"""The application of the chaos tests: small, but with everything that belongs to one.

A server `web` that boots from an image, with a data volume, key pair, group of rules and floating
address; a server `db` that boots from a volume; both on a network with a subnet and a router.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import requests
from karbor_testing.openstack import Double

DATA = b"what the application has stored " * 300
ROOT = b"the disk that db boots from " * 200
DISK = b"the disk of web, changed since it booted"
ADDRESSES = {"web": "10.9.0.10", "db": "10.9.0.11"}


class Person:
    """A user of the double's API, with a token."""

    def __init__(self, double: Double, user: str = "demo") -> None:
        self._double = double
        self._session = requests.Session()
        self._user = user
        self.login()

    def login(self) -> None:
        auth = self._double.cloud(self._user)["auth"]
        domain = {"id": "default"}
        answer = self._session.post(f"{self._double.auth_url}/auth/tokens", timeout=30, json={
            "auth": {"identity": {"methods": ["password"], "password": {"user": {
                "name": auth["username"], "password": auth["password"], "domain": domain}}},
                "scope": {"project": {"name": auth["project_name"], "domain": domain}}}})
        answer.raise_for_status()
        self._session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        self._session.headers["OpenStack-API-Version"] = "compute 2.96,volume 3.70"
        self.project = answer.json()["token"]["project"]["id"]

    def ask(self, method: str, path: str, body: Any = None, *, data: bytes | None = None) -> Any:
        headers = {"Content-Type": "application/octet-stream"} if data is not None else {}
        answer = self._session.request(method, f"{self._double.url}/{path}", json=body, data=data,
                                       headers=headers, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.text.startswith(("{", "[")) else None

    def make(self, path: str, kind: str, **wanted: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.ask("POST", path, {kind: wanted})[kind]
        return made

    def close(self) -> None:
        self._session.close()


@dataclass
class Application:
    """The ids of its parts."""

    web: str = ""
    db: str = ""
    data: str = ""
    root: str = ""
    image: str = ""
    network: str = ""
    subnet: str = ""
    router: str = ""
    group: str = ""
    floating: str = ""
    ports: dict[str, str] = field(default_factory=dict)


def build(double: Double) -> Application:
    """Make it as user `demo`, with nothing left in the middle of a change."""
    double.set(looks={"*": -1})
    person, app = Person(double), Application()
    neutron = "network/v2.0"
    public = person.ask("GET", f"{neutron}/networks?name=public")["networks"][0]["id"]
    app.network = person.make(f"{neutron}/networks", "network", name="app-net")["id"]
    app.subnet = person.make(f"{neutron}/subnets", "subnet", network_id=app.network, ip_version=4,
                             cidr="10.9.0.0/24", name="app-subnet")["id"]
    app.router = person.make(f"{neutron}/routers", "router", name="app-router",
                             external_gateway_info={"network_id": public})["id"]
    person.ask("PUT", f"{neutron}/routers/{app.router}/add_router_interface",
               {"subnet_id": app.subnet})
    app.group = person.make(f"{neutron}/security-groups", "security_group", name="app-web",
                            description="what web lets in")["id"]
    for port in (80, 443):
        person.make(f"{neutron}/security-group-rules", "security_group_rule",
                    security_group_id=app.group, direction="ingress", protocol="tcp",
                    port_range_min=port, port_range_max=port)
    for name, address in ADDRESSES.items():
        app.ports[name] = person.make(
            f"{neutron}/ports", "port", network_id=app.network, name=f"{name}-port",
            security_groups=[app.group],
            fixed_ips=[{"subnet_id": app.subnet, "ip_address": address}])["id"]
    person.make("compute/v2.1/os-keypairs", "keypair", name="app-key", public_key="ssh-rsa AAAA")

    app.image = person.ask("POST", "image/v2/images", {
        "name": "app-image", "disk_format": "raw", "container_format": "bare",
        "os_distro": "debian"})["id"]
    person.ask("PUT", f"image/v2/images/{app.image}/file", data=b"a disk before its first boot")
    app.data = person.make("volume/v3/volumes", "volume", name="app-data", size=1,
                           metadata={"purpose": "data"})["id"]
    app.root = person.make("volume/v3/volumes", "volume", name="app-root", size=2,
                           imageRef=app.image)["id"]
    app.web = person.make(
        "compute/v2.1/servers", "server", name="web", flavorRef="1", imageRef=app.image,
        key_name="app-key", metadata={"role": "front"}, networks=[{"port": app.ports["web"]}])["id"]
    app.db = person.make(
        "compute/v2.1/servers", "server", name="db", flavorRef="2",
        networks=[{"port": app.ports["db"]}], block_device_mapping_v2=[
            {"source_type": "volume", "destination_type": "volume", "uuid": app.root,
             "boot_index": 0, "delete_on_termination": False}])["id"]
    person.make(f"compute/v2.1/servers/{app.web}/os-volume_attachments", "volumeAttachment",
                volumeId=app.data)
    app.floating = person.make(f"{neutron}/floatingips", "floatingip", floating_network_id=public,
                               port_id=app.ports["web"])["id"]
    double.write("cinder.volume", app.data, DATA)
    double.write("cinder.volume", app.root, ROOT)
    double.write("nova.server", app.web, DISK)
    person.close()
    double.forget_log()
    return app


def destroy(double: Double, app: Application) -> None:
    """Everything but the floating address, as somebody does who has lost control."""
    double.set(looks={"*": -1})
    person = Person(double)
    for server in (app.web, app.db):
        person.ask("DELETE", f"compute/v2.1/servers/{server}")
    for volume in (app.data, app.root):
        person.ask("DELETE", f"volume/v3/volumes/{volume}")
    person.ask("DELETE", f"image/v2/images/{app.image}")
    for port in app.ports.values():
        person.ask("DELETE", f"network/v2.0/ports/{port}")
    person.ask("PUT", f"network/v2.0/routers/{app.router}/remove_router_interface",
               {"subnet_id": app.subnet})
    for path in (f"routers/{app.router}", f"networks/{app.network}",
                 f"security-groups/{app.group}"):
        person.ask("DELETE", f"network/v2.0/{path}")
    person.close()
    double.forget_log()
