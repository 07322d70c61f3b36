"""What services store, show or derive, and refuse as input: protected, lost, and restored by the
command on the real cloud."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from karbor import config
from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import connect
from karbor.protections.glance.metadata import SIGNATURE
from karbor.protections.glance.restore import PATCH
from tests.cloud.karbor_command import Karbor
from tests.cloud.somebody import Somebody, new_somebody

PATIENCE = 120.0
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl test"
CERTIFICATE = str(uuid.uuid4())
SIGNED = {"img_signature": base64.b64encode(b"signature").decode(),
          "img_signature_hash_method": "SHA-256", "img_signature_key_type": "RSA-PSS",
          "img_signature_certificate_uuid": CERTIFICATE}
FULL = {f"p{number:03}": "x" for number in range(124)} | SIGNED        # as many as there may be
METADATA = {"readonly": "please", "tier": "front"}


def until(what: str, ask: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not ask():
        assert time.monotonic() < end, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.3)


class Scene:
    """A server that Nova cannot be asked for as it is, in a project of its own."""

    def __init__(self, opened: OpenStackCloud, karbor: Karbor) -> None:
        self.karbor = karbor
        self.nova, self.neutron = opened.api("nova"), opened.api("neutron")
        self.cinder, self.glance = opened.api("cinder"), opened.api("glance")

    def make(self, kind: str, **body: Any) -> Any:
        member = kind.removesuffix("s").replace("-", "_")
        return self.neutron.post(f"/{kind}", {member: body})[member]

    def build(self) -> None:
        external = next(one for one in self.neutron.list("/networks", "networks")
                        if one["router:external"])
        self.network = self.make("networks", name="inner")
        subnet = self.make("subnets", network_id=self.network["id"], ip_version=4,
                           cidr="10.79.0.0/24")
        self.router = self.make("routers", name="way",
                                external_gateway_info={"network_id": external["id"]})
        self.neutron.put(f"/routers/{self.router['id']}/add_router_interface",
                         {"subnet_id": subnet["id"]})
        self.subnet = subnet
        self.addresses = self.make("address-groups", name="office", addresses=["192.0.2.0/24"])
        self.group = self.make("security-groups", name="doors")
        self.make("security-group-rules", security_group_id=self.group["id"], protocol="tcp",
                  direction="ingress", ethertype="IPv4", port_range_min=22, port_range_max=22,
                  remote_address_group_id=self.addresses["id"])
        self.port = self.make("ports", name="eth0", network_id=self.network["id"],
                              security_groups=[self.group["id"]], fixed_ips=[
                                  {"subnet_id": subnet["id"], "ip_address": f"10.79.0.{last}"}
                                  for last in (150, 151)])
        self.floating = self.make("floatingips", floating_network_id=external["id"],
                                  port_id=self.port["id"], fixed_ip_address="10.79.0.151",
                                  description="the door")
        self.nova.post("/os-keypairs", {"keypair": {"name": "gone", "type": "ssh",
                                                    "public_key": KEY}})
        self.image = self.new_image("signed", FULL)
        self.volume = self.cinder.post("/volumes", {"volume": {
            "size": 1, "name": "data", "metadata": METADATA}})["volume"]["id"]
        until("volume", lambda: self._volume(self.volume)["status"] == "available")
        plain = self.new_image("plain", {})
        flavor = next(one["id"] for one in self.nova.list("/flavors/detail", "flavors")
                      if one["name"] == "m1.nano")
        self.server = self.nova.post("/servers", {"server": {
            "name": "müller-db", "flavorRef": flavor, "imageRef": plain, "key_name": "gone",
            "networks": [{"port": self.port["id"]}], "description": "Müllers Daten",
            "block_device_mapping_v2": [
                {"uuid": plain, "source_type": "image", "destination_type": "local",
                 "boot_index": 0, "delete_on_termination": True},
                {"uuid": self.volume, "source_type": "volume", "destination_type": "volume",
                 "boot_index": -1, "delete_on_termination": True}]}})["server"]["id"]
        until("server", lambda: self.nova.get(f"/servers/{self.server}")["server"]["status"]
              == "ACTIVE")

    def new_image(self, name: str, properties: dict[str, str]) -> str:
        """Signed only when it has its bytes: then Glance verifies nothing."""
        id = str(self.glance.post("/images", {
            "name": name, "disk_format": "raw", "container_format": "bare"})["id"])
        self.glance.upload(f"/images/{id}/file", [b"disk" * 1024], size=4096)
        if properties:
            self.glance.patch(f"/images/{id}", [
                {"op": "add", "path": f"/{key}", "value": value}
                for key, value in properties.items()], headers=PATCH)
        return id

    def _volume(self, id: str) -> Any:
        return self.cinder.get(f"/volumes/{id}")["volume"]

    def lose(self) -> None:
        """The server with its volume, its port, group and key pair, and the image."""
        self.nova.delete(f"/servers/{self.server}")
        until("server gone", lambda: not self.nova.list("/servers", "servers"))
        until("volume gone", lambda: not self.cinder.list("/volumes", "volumes"))
        self.neutron.delete(f"/ports/{self.port['id']}")
        self.neutron.delete(f"/security-groups/{self.group['id']}")
        self.nova.delete("/os-keypairs/gone")
        self.glance.delete(f"/images/{self.image}")

    def drop(self) -> None:
        for one in self.nova.list("/servers", "servers"):
            self.nova.delete(f"/servers/{one['id']}")
        until("servers gone", lambda: not self.nova.list("/servers", "servers"))
        for one in self.neutron.list("/floatingips", "floatingips"):
            self.neutron.delete(f"/floatingips/{one['id']}")
        for one in self.neutron.list("/ports", "ports"):
            if not one["device_owner"]:
                self.neutron.delete(f"/ports/{one['id']}")
        self.neutron.put(f"/routers/{self.router['id']}/remove_router_interface",
                         {"subnet_id": self.subnet["id"]})
        for path in (f"/routers/{self.router['id']}", f"/networks/{self.network['id']}"):
            self.neutron.delete(path)
        for one in self.neutron.list("/security-groups", "security_groups"):
            if one["name"] != "default":
                self.neutron.delete(f"/security-groups/{one['id']}")
        self.neutron.delete(f"/address-groups/{self.addresses['id']}")
        for one in self.glance.list("/images", "images", params={"visibility": "private"}):
            self.glance.delete(f"/images/{one['id']}")
        for one in self.glance.list("/images", "images", params={"visibility": "shared"}):
            self.glance.delete(f"/images/{one['id']}")
        for one in self.cinder.list("/volumes", "volumes"):
            self.cinder.delete(f"/volumes/{one['id']}")
        until("volumes gone", lambda: not self.cinder.list("/volumes", "volumes"))


@pytest.fixture(scope="module")
def somebody(cloud: Any) -> Iterator[Somebody]:
    with new_somebody(cloud) as made:
        yield made


@pytest.fixture(scope="module")
def scene(somebody: Somebody, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home: Path = tmp_path_factory.mktemp("home")
    clouds = home / "clouds.yaml"
    clouds.write_text(yaml.safe_dump({"clouds": {"me": somebody.entry()}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
        opened = connect("me", config.load())
    with opened:
        made = Scene(opened, Karbor(home, clouds, "me"))
        try:
            made.build()
            yield made
        finally:
            made.drop()


def test_a_network_that_is_named_means_the_topology(scene: Scene, somebody: Somebody) -> None:
    for word in (scene.network["id"], "network:inner"):
        graph = scene.karbor("protect", word, "--dry-run", "-f", "json").json["graph"]
        assert graph["roots"] == [f"OS::Neutron::Network#{somebody.project.id}"], word


def test_what_would_be_refused_comes_back_or_is_told_beforehand(scene: Scene) -> None:
    karbor = scene.karbor
    before = scene.nova.get(f"/servers/{scene.server}", version="2.96")["server"]
    assert before["OS-EXT-SRV-ATTR:hostname"] == "müller-db"
    karbor("protect", "müller-db", "image:signed", "--name", "all")
    scene.lose()

    refused = karbor("restore", "all", "--dry-run", expect=None)
    assert "--map gone= to build the server without one" in refused.err
    wrong = karbor("restore", "all", "--dry-run", "--map", "m1.nano=", expect=None)
    assert "only a key pair can be left out" in wrong.err
    renamed = karbor("restore", "all", "--dry-run", "--map", "gone=", "--name", "müller-db= web",
                     expect=None)
    assert "Nova does not take the name ' web' of a server" in renamed.err
    emoji = karbor("restore", "all", "--dry-run", "--map", "gone=", "--name", "data=🚀",
                   expect=None)
    assert "restore_name has characters that are not allowed there" in emoji.err

    told = [one["what"] for one in karbor("restore", "all", "--dry-run", "--map", "gone=",
                                          "-f", "json").json["preview"]]
    assert "without a key pair: it had gone" in told
    assert any(one.startswith("its signature cannot be verified by Glance and is put back "
                              f"unverified: certificate {CERTIFICATE} cannot be read")
               for one in told)

    done = karbor("restore", "all", "--map", "gone=", "-f", "json").json
    assert done["state"] == "done"
    fields = {one["field"] for each in done["result"]["restored"]
              for one in each.get("not_restored", ())}
    assert fields == {"key pair gone", "signature"}, fields
    assert "not restored" in karbor("operation", "show", done["id"]).out
    compare(scene, before)


def compare(scene: Scene, before: Any) -> None:
    [server] = scene.nova.list("/servers/detail", "servers", version="2.96")
    for name in ("name", "description", "metadata", "OS-EXT-SRV-ATTR:hostname"):
        assert server[name] == before[name], name
    assert server["key_name"] is None
    [port] = scene.neutron.list("/ports", "ports", params={"device_id": server["id"]})
    assert sorted(one["ip_address"] for one in port["fixed_ips"]) == ["10.79.0.150", "10.79.0.151"]
    floating = scene.neutron.get(f"/floatingips/{scene.floating['id']}")["floatingip"]
    assert (floating["fixed_ip_address"], floating["port_id"], floating["description"]) == (
        "10.79.0.151", port["id"], "the door")
    [group] = [one for one in scene.neutron.list("/security-groups", "security_groups")
               if one["name"] == "doors"]
    assert [one["remote_address_group_id"] for one in group["security_group_rules"]
            if one["direction"] == "ingress"] == [scene.addresses["id"]]
    [volume] = scene.cinder.list("/volumes/detail", "volumes")
    assert scene.cinder.get(f"/volumes/{volume['id']}/metadata")["metadata"] == METADATA
    [image] = [one for one in scene.glance.list("/images", "images") if one["name"] == "signed"]
    assert {name: image.get(name) for name in FULL} == FULL
    assert "karbor_mark" not in image
    assert image.keys() >= SIGNATURE
