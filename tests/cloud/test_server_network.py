"""Servers and their networks on the real cloud: kept, deleted, built again, and compared.

The disks are stand-ins here (empty volumes, the base image): their bytes are the business of other
tests. What Nova and Neutron really accept, refuse and show to a plain member is the question.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from karbor_testing.bank import MemoryBank

from karbor import config
from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import connect
from karbor.domain.resource import IMAGE, NETWORK, SERVER, VOLUME, Resource, ResourceGraph
from karbor.domain.step import Again, Done, Hook, Outcome
from karbor.plugin.bank import Section
from karbor.plugin.protection import Target
from karbor.protections.neutron.network_plugin import NetworkProtection
from karbor.protections.nova.server_plugin import ServerProtection

Record = dict[str, Any]
NETWORKS, SERVERS = NetworkProtection(), ServerProtection()
PATIENCE = 120.0


def until(what: str, ask: Callable[[], bool]) -> None:
    """Asks often: the cloud's fake hypervisor is quick."""
    end = time.monotonic() + PATIENCE
    while not ask():
        assert time.monotonic() < end, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.3)


class Work:
    """A Work whose driver is this test."""

    stopping = False
    entered_before = False
    checkpoint_id = "test"

    def __init__(self, app: Application, resource: Resource, parameters: Record) -> None:
        self.cloud = app.cloud
        self.graph = app.graph
        self.resource = resource
        self.bank = Section(app.bank, "x" + resource.id)
        self.parameters = parameters
        self.operation_id = app.prefix
        self.mark = f"karbor:{app.prefix}:{resource.id[:8]}"
        self.handle: Record = {}
        self._app = app

    def saved(self, stage: str, resource: Resource | None = None) -> Record:
        return self._app.saved.get((stage, (resource or self.resource).key), {})

    def kept(self, stage: str, resource: Resource | None = None) -> Record:
        return self._app.kept.get((stage, (resource or self.resource).key), {})

    def ensure_credential(self, size: int | None) -> None:
        """A token of minutes is enough here."""

    def report(self, progress: object) -> None:
        raise AssertionError("nothing here reports")

    def through(self, call: Callable[[Any], Outcome]) -> Record:
        (saved,) = together([(self, call)])
        return saved


def together(pairs: list[tuple[Work, Callable[[Any], Outcome]]]) -> list[Record]:
    """All of them to their end, in turn, as a driver's threads would have it."""
    end = time.monotonic() + PATIENCE
    saved: dict[int, Record] = {}
    while len(saved) < len(pairs):
        pauses = [1.0]
        for number, (work, call) in enumerate(pairs):
            if number in saved:
                continue
            outcome = call(work)
            if isinstance(outcome, Again):
                pauses.append(outcome.after)
            else:
                assert isinstance(outcome, Done), outcome
                saved[number] = dict(outcome.saved)
            if outcome.handle is not None:
                work.handle = dict(outcome.handle)
        assert time.monotonic() < end, [work.handle for work, _ in pairs]
        if len(saved) < len(pairs):
            time.sleep(min(pauses))
    return [saved[number] for number in range(len(pairs))]


class Application:
    """Two servers (one booted from a volume, with a data volume; one from an image) on a network
    with subnet, router, security group and floating address."""

    def __init__(self, cloud: OpenStackCloud) -> None:
        self.cloud = cloud
        self.prefix = f"sn-{uuid.uuid4().hex[:8]}"
        self.bank = MemoryBank()
        self.kept: dict[tuple[str, str], Record] = {}
        self.saved: dict[tuple[str, str], Record] = {}
        self.neutron, self.nova = cloud.api("neutron"), cloud.api("nova")
        self.cinder = cloud.api("cinder")

    def named(self, api: str, path: str, key: str) -> list[Record]:
        return [one for one in self.cloud.api(api).list(path, key)
                if str(one.get("name")).startswith(self.prefix)]

    def make(self, kind: str, **body: Any) -> Record:
        member = kind.removesuffix("s").replace("-", "_")
        made: Record = self.neutron.post(f"/{kind}", {member: body})[member]
        return made

    def volumes(self, count: int, bootable: str = "") -> list[str]:
        ids = [self.cinder.post("/volumes", {"volume": {"size": 1, "name": self.prefix}})
               ["volume"]["id"] for _ in range(count)]
        until("volumes", lambda: all(
            self.cinder.get(f"/volumes/{id}")["volume"]["status"] == "available" for id in ids))
        self.cinder.post(f"/volumes/{ids[0]}/action", {"os-set_bootable": {"bootable": True}})
        return ids

    def build(self) -> None:
        prefix = self.prefix
        external = next(one for one in self.neutron.list("/networks", "networks")
                        if one["router:external"])
        self.group = self.make("security-groups", name=f"{prefix}-web", description="doors")
        self.make("security-group-rules", security_group_id=self.group["id"], direction="ingress",
                  protocol="tcp", port_range_min=22, port_range_max=22, ethertype="IPv4",
                  description="ssh")
        self.make("security-group-rules", security_group_id=self.group["id"], direction="ingress",
                  remote_group_id=self.group["id"], ethertype="IPv4")
        self.network = self.make("networks", name=f"{prefix}-net", description="inner", mtu=1400)
        self.neutron.put(f"/networks/{self.network['id']}/tags", {"tags": ["kept"]})
        self.subnet = self.make(
            "subnets", network_id=self.network["id"], name=f"{prefix}-sub", ip_version=4,
            cidr="10.77.0.0/24", dns_nameservers=["192.0.2.53"],
            allocation_pools=[{"start": "10.77.0.10", "end": "10.77.0.200"}],
            host_routes=[{"destination": "198.51.100.0/24", "nexthop": "10.77.0.9"}])
        self.router = self.make("routers", name=f"{prefix}-router",
                                external_gateway_info={"network_id": external["id"]})
        self.neutron.put(f"/routers/{self.router['id']}/add_router_interface",
                         {"subnet_id": self.subnet["id"]})
        self.neutron.put(f"/routers/{self.router['id']}", {"router": {"routes": [
            {"destination": "198.18.0.0/24", "nexthop": "10.77.0.8"}]}})
        self.ports = [self.make("ports", network_id=self.network["id"], name=f"{prefix}-p{number}",
                                security_groups=[self.group["id"]],
                                fixed_ips=[{"subnet_id": self.subnet["id"],
                                            "ip_address": f"10.77.0.{150 + number}"}])
                      for number in range(2)]
        self.floating = self.make("floatingips", floating_network_id=external["id"],
                                  port_id=self.ports[0]["id"], description=f"{prefix} door")
        self.nova.post("/os-keypairs", {"keypair": {
            "name": f"{prefix}-key", "type": "ssh",
            "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9"
                          "okWi0dh2l9GKJl test"}})
        self.server_group = self.nova.post("/os-server-groups", {"server_group": {
            "name": f"{prefix}-group", "policy": "soft-anti-affinity"}})["server_group"]
        self.old_volumes = self.volumes(2)
        self.image = self._image()
        flavors = {one["name"]: one["id"] for one in self.nova.list("/flavors/detail", "flavors")}
        common = {"key_name": f"{prefix}-key", "tags": ["blue"], "metadata": {"tier": "front"}}
        self.servers = [self._server(
            name=f"{prefix}-volume", flavorRef=flavors["m1.zero"], description="from a volume",
            networks=[{"port": self.ports[0]["id"]}], config_drive=True,
            block_device_mapping_v2=[
                {"uuid": id, "source_type": "volume", "destination_type": "volume",
                 "boot_index": 0 if number == 0 else -1, "delete_on_termination": number == 1,
                 **({"tag": "data"} if number else {})}
                for number, id in enumerate(self.old_volumes)], **common)]
        self.servers.append(self._server(
            name=f"{prefix}-image", flavorRef=flavors["m1.nano"], imageRef=self.image,
            networks=[{"port": self.ports[1]["id"], "tag": "nic"}], **common))
        for one in self.servers:
            self._active(one.id)
        self.nova.post(f"/servers/{self.servers[1].id}/action", {"os-stop": None})
        until("stopped", lambda: self._status(self.servers[1].id) == "SHUTOFF")
        self.topology = Resource(NETWORK, self.cloud.project_id, "Network topology")
        self.disk = Resource(IMAGE, self.image, within=self.servers[1].id)
        self._graph()

    def _image(self) -> str:
        glance = self.cloud.api("glance")
        made = glance.post("/images", {"name": self.prefix, "disk_format": "raw",
                                       "container_format": "bare"})
        glance.upload(f"/images/{made['id']}/file", [b"disk" * 1024], size=4096)
        return str(made["id"])

    def _server(self, **body: Any) -> Resource:
        made = self.nova.post("/servers", {
            "server": body, "os:scheduler_hints": {"group": self.server_group["id"]}})
        return Resource(SERVER, made["server"]["id"], body["name"])

    def _graph(self) -> None:
        children = {self.servers[0].key: [Resource(VOLUME, id) for id in self.old_volumes],
                    self.servers[1].key: [self.disk]}
        self.graph = ResourceGraph.build(self.servers, lambda level: {
            one.key: [*children[one.key], self.topology] for one in level if one.key in children})

    def _status(self, id: str) -> str:
        return str(self.nova.get(f"/servers/{id}")["server"]["status"])

    def _active(self, id: str) -> None:
        until(f"server {id} ACTIVE", lambda: self._status(id) == "ACTIVE")

    def work(self, resource: Resource, **parameters: Any) -> Work:
        return Work(self, resource, parameters)

    def protect(self) -> None:
        for protection, resource in [(NETWORKS, self.topology),
                                     *((SERVERS, one) for one in self.servers)]:
            (task,) = protection.protect(resource)[Hook.PREPARE_FINISH]
            work = self.work(resource)
            self.kept[task.name, resource.key] = work.through(task.run)
            (proof,) = protection.verify(resource)[Hook.MAIN]
            assert work.through(proof.run)["evidence"] == "checksums"

    def disks_restored(self) -> None:
        """As if: new empty volumes, and the base image itself."""
        self.new_volumes = self.volumes(2)
        for old, new in zip(self.old_volumes, self.new_volumes, strict=True):
            self.saved["volume", Resource(VOLUME, old).key] = {"id": new}
        self.saved["image", self.disk.key] = {"id": self.image}

    def restore(self, **parameters: Any) -> list[Work]:
        topology = self.work(self.topology, **parameters)
        (task,) = NETWORKS.restore(self.topology)[Hook.MAIN]
        self.saved["topology", self.topology.key] = topology.through(task.run)
        servers = [self.work(one, **parameters) for one in self.servers]
        (build,) = SERVERS.restore(self.servers[0])[Hook.COMPLETE]
        for work, saved in zip(servers, together([(one, build.run) for one in servers]),
                               strict=True):
            self.saved["server", work.resource.key] = saved
        return [topology, *servers]

    def undo(self, works: list[Work]) -> None:
        topology, *servers = works
        (build,) = SERVERS.restore(self.servers[0])[Hook.COMPLETE]
        together([(one, build.undo) for one in servers])
        (task,) = NETWORKS.restore(self.topology)[Hook.MAIN]
        topology.through(task.undo)

    def target(self) -> Target:
        return Target(self.cloud, self.graph,
                      lambda stage, resource: self.kept[stage, resource.key], lambda resource: {})

    def drop_servers(self) -> None:
        found = self.named("nova", "/servers/detail", "servers")
        for one in found:
            self.nova.delete(f"/servers/{one['id']}")
        until("servers gone", lambda: not self.named("nova", "/servers/detail", "servers"))

    def drop_networks(self) -> None:
        networks = {one["id"] for one in self.named("neutron", "/networks", "networks")}
        routers = self.named("neutron", "/routers", "routers")
        for one in routers:
            self.neutron.put(f"/routers/{one['id']}", {"router": {"routes": []}})
        # a router cannot leave a subnet whose ports have floating addresses: those ports go first
        for port in sorted(self.neutron.list("/ports", "ports"),
                           key=lambda port: port["device_owner"].startswith("network:")):
            if port["network_id"] not in networks:
                continue
            if port["device_owner"].startswith("network:router_interface"):
                self.neutron.put(f"/routers/{port['device_id']}/remove_router_interface",
                                 {"port_id": port["id"]})
            else:
                self.neutron.delete(f"/ports/{port['id']}")
        for one in routers:
            self.neutron.delete(f"/routers/{one['id']}")
        for id in networks:
            self.neutron.delete(f"/networks/{id}")
        for one in self.named("neutron", "/security-groups", "security_groups"):
            self.neutron.delete(f"/security-groups/{one['id']}")

    def drop_volumes(self, *, but: tuple[str, ...] = ()) -> None:
        for one in self.named("cinder", "/volumes/detail", "volumes"):
            if one["id"] not in but:
                self.cinder.delete(f"/volumes/{one['id']}")
        until("volumes gone", lambda: all(
            one["id"] in but for one in self.named("cinder", "/volumes/detail", "volumes")))

    def drop_all(self) -> None:
        self.drop_servers()
        for one in self.neutron.list("/floatingips", "floatingips"):
            if one["description"].startswith((self.prefix, f"karbor:{self.prefix}")):
                self.neutron.delete(f"/floatingips/{one['id']}")
        self.drop_networks()
        self.drop_volumes()
        for one in self.named("nova", "/os-server-groups", "server_groups"):
            self.nova.delete(f"/os-server-groups/{one['id']}")
        self.nova.delete(f"/os-keypairs/{self.prefix}-key")
        for one in self.named("glance", "/images", "images"):
            self.cloud.api("glance").delete(f"/images/{one['id']}")


@pytest.fixture(scope="module")
def app(cloud: Any) -> Iterator[Application]:
    """Built once: the first test leaves it as it was, the second destroys and rebuilds it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
        opened = connect("demo2", config.load())
    with opened:
        made = Application(opened)
        try:
            made.build()
            made.protect()
            yield made
        finally:
            made.drop_all()


def seen(app: Application) -> Record:
    """Everything that must come back, asked of the services, without ids."""
    servers = {}
    for one in app.named("nova", "/servers/detail", "servers"):
        path = f"/servers/{one['id']}"
        ports = app.neutron.list("/ports", "ports", params={"device_id": one["id"]})
        servers[one["name"]] = {
            **{name: one[name] for name in ("status", "metadata", "tags", "key_name",
                                            "description", "config_drive")},
            "flavor": one["flavor"]["original_name"],
            "hostname": one["OS-EXT-SRV-ATTR:hostname"],
            "ports": [(port["name"], port["mac_address"],
                       [fixed["ip_address"] for fixed in port["fixed_ips"]],
                       len(port["security_groups"]), port["description"]) for port in ports],
            "nic tags": [each["tag"] for each in app.nova.list(
                f"{path}/os-interface", "interfaceAttachments", version="2.90")],
            "volumes": [(each["device"], each["tag"], each["delete_on_termination"])
                        for each in app.nova.list(f"{path}/os-volume_attachments",
                                                  "volumeAttachments", version="2.90")]}
    (network,) = app.named("neutron", "/networks", "networks")
    (subnet,) = app.named("neutron", "/subnets", "subnets")
    (router,) = app.named("neutron", "/routers", "routers")
    (group,) = app.named("neutron", "/security-groups", "security_groups")
    interfaces = [port["fixed_ips"][0]["ip_address"] for port in app.neutron.list(
        "/ports", "ports", params={"device_id": router["id"]})]
    rules = sorted((one["direction"], one["ethertype"], str(one["protocol"]),
                    str(one["port_range_min"]), one["description"],
                    one["remote_group_id"] == group["id"])
                   for one in group["security_group_rules"])
    floating = [(one["floating_ip_address"], one["fixed_ip_address"], one["description"])
                for one in app.neutron.list("/floatingips", "floatingips")
                if one["description"].startswith(app.prefix)]
    groups = app.named("nova", "/os-server-groups", "server_groups")
    return {"servers": servers, "rules": rules, "interfaces": interfaces, "floating": floating,
            "network": [network[name] for name in ("description", "mtu", "tags")],
            "subnet": [subnet[name] for name in ("cidr", "gateway_ip", "allocation_pools",
                                                 "dns_nameservers", "host_routes")],
            "routes": router["routes"],
            "gateway": (router["external_gateway_info"] or {}).get("network_id"),
            "groups": [(one["name"], one["policy"], len(one["members"])) for one in groups]}


def test_on_the_networks_of_the_living_originals_and_undone(app: Application) -> None:
    before = seen(app)
    app.disks_restored()
    assert not SERVERS.restore_obstacles(app.servers, app.target())
    works = app.restore(restore_name=f"{app.prefix}-copy")
    assert app.saved["topology", app.topology.key]["created"] == []
    for number, one in enumerate(app.servers):
        saved = app.saved["server", one.key]
        port = f"port {app.prefix}-p{number}"
        told = [each["field"] for each in saved["not_restored"]]
        assert told[:2] == [f"{port}: MAC address", f"{port}: fixed address"]
        (addresses,) = saved["addresses"].values()
        assert addresses[0].startswith("10.77.0.")
    floating = app.saved["server", app.servers[0].key]["floating"]
    assert list(floating.values()) != [app.floating["id"]]
    app.undo(works)
    app.drop_volumes(but=tuple(app.old_volumes))
    assert seen(app) == before


def test_on_new_networks_and_undone(app: Application) -> None:
    before = seen(app)
    app.disks_restored()
    works = app.restore(new_networks=True, restore_name=f"{app.prefix}-copy")
    for one in app.servers:
        saved = app.saved["server", one.key]
        assert all("floating" in each["field"] for each in saved["not_restored"]), saved
    assert len(app.named("nova", "/servers/detail", "servers")) == 4
    assert len(app.named("neutron", "/networks", "networks")) == 2
    app.undo(works)
    assert seen(app) == before


def test_deleted_and_built_again(app: Application) -> None:
    before = seen(app)
    app.drop_servers()
    app.drop_networks()
    app.drop_volumes()
    for one in app.named("nova", "/os-server-groups", "server_groups"):
        app.nova.delete(f"/os-server-groups/{one['id']}")
    app.disks_restored()
    assert not SERVERS.restore_obstacles(app.servers, app.target())
    assert not NETWORKS.restore_obstacles([app.topology], app.target())
    app.restore()
    assert seen(app) == before
    saved = app.saved["server", app.servers[0].key]
    assert [one["volume"] for one in saved["attachments"]] == app.new_volumes
    assert saved["not_restored"] == []
    told = [one["field"] for one in app.saved["topology", app.topology.key]["not_restored"]]
    assert told == [f"router {app.prefix}-router: gateway address"]
