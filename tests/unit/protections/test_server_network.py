"""A server and its networks: kept, lost, built again, killed around every write, and undone."""

from __future__ import annotations

import copy
import gc
import importlib.util
import re
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from karbor_testing.bank import MemoryBank

from karbor.domain.errors import (
    BadInput,
    CloudConflict,
    CloudForbidden,
    ObjectDamaged,
    RemoteFailed,
)
from karbor.domain.resource import PROJECT, VOLUME, Resource, ResourceGraph
from karbor.domain.step import Hook
from karbor.plugin.protection import Target
from karbor.protections.neutron.network_plugin import NetworkProtection
from karbor.protections.nova.server_plugin import ServerProtection

_spec = importlib.util.spec_from_file_location("net_double",
                                               Path(__file__).with_name("net_double.py"))
assert _spec
assert _spec.loader
double = importlib.util.module_from_spec(_spec)
sys.modules["net_double"] = double
_spec.loader.exec_module(double)

NETWORKS, SERVERS = NetworkProtection(), ServerProtection()


@dataclass
class Application:
    """An application in a world, with what a checkpoint keeps of it."""

    world: Any = field(default_factory=double.World)
    bank: MemoryBank = field(default_factory=MemoryBank)
    results: dict[tuple[str, str], Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server, self.topology = double.application(self.world)
        self.graph = double.graph_of(self.server, self.topology)

    def work(self, resource: Resource) -> Any:
        return double.FakeWork(self.world, self.graph, resource, bank=self.bank,
                               results=self.results, parameters=self.parameters)

    def protect(self) -> None:
        for protection, resource in ((NETWORKS, self.topology), (SERVERS, self.server)):
            (task,) = protection.protect(resource)[Hook.PREPARE_FINISH]
            done = self.work(resource).through(task.run)
            self.results["kept " + task.name, resource.key] = done.saved
        for old in ("v1", "v2"):
            self.results["volume", Resource(VOLUME, old).key] = {"id": "new-" + old}

    def kept(self, stage: str, resource: Resource) -> Any:
        return self.results["kept " + stage, resource.key]

    def tasks(self) -> list[tuple[Any, Any]]:
        """Each with its Work, in the order of a restore."""
        (topology,) = NETWORKS.restore(self.topology)[Hook.MAIN]
        (server,) = SERVERS.restore(self.server)[Hook.COMPLETE]
        return [(topology, self.work(self.topology)), (server, self.work(self.server))]

    def restore(self) -> dict[str, Any]:
        for task, work in self.tasks():
            self.results[task.name, work.resource.key] = work.through(task.run).saved
        return dict(self.results["server", self.server.key])

    def target(self, **mapping: str) -> Target:
        return Target(self.world, self.graph, self.kept, lambda resource: self.parameters, mapping)


def protected() -> Application:
    app = Application()
    app.protect()
    return app


def lost(*, networks: bool = True) -> Application:
    app = protected()
    double.lose(app.world, app.server, networks=networks)
    app.world = _again(app.world)
    return app


def _again(world: Any) -> Any:
    """The same cloud through a new Cloud, as a new operation has it: nothing is listed yet."""
    return copy.copy(world)


def essence(world: Any) -> Any:
    """The world without ids: what must be equal however often a restore was interrupted."""
    things = world.things
    names = {id: one.get("name") or one.get("cidr") or one.get("floating_ip_address") or kind
             for kind, found in things.items() for id, one in found.items()}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in sorted(value.items()) if key != "id"}
        if isinstance(value, list):
            return sorted((plain(each) for each in value), key=repr)
        return names.get(value, value) if isinstance(value, str) else value

    return {kind: sorted((plain(one) for one in found.values()), key=repr)
            for kind, found in things.items()}


# -- what is kept

def test_a_server_is_kept_with_all_it_needs() -> None:
    app = protected()
    kept = app.kept("server", app.server)
    assert kept["status"] == "SHUTOFF"
    assert kept["volumes"] == ["v1", "v2"]
    assert kept["flavor"]["original_name"] == "small"
    assert kept["key_pair"] == {"name": "key", "fingerprint": "aa:bb"}
    assert kept["group"] == "apart"
    assert kept["ports"][0]["addresses"] == ["10.0.0.42"]
    assert kept["ports"][0]["mac"] == "fa:16:3e:aa:aa:aa"
    assert len(kept["floating"]) == 1
    assert {"field": "user data", "why": "hidden from this user by the cloud's policy"} \
        in kept["not_kept"]


def test_only_what_the_server_needs_of_the_networks_is_kept() -> None:
    app = Application()
    neutron = app.world.api("neutron")
    neutron.post("/networks", {"network": {"name": "unrelated"}})
    neutron.post("/security-groups", {"security_group": {"name": "unrelated"}})
    app.protect()
    kept = app.kept("topology", app.topology)
    assert [one["name"] for one in kept["networks"]] == ["net"]
    assert sorted(one["name"] for one in kept["security_groups"]) == ["db", "web"]
    assert [one["name"] for one in kept["routers"]] == ["router"]
    assert [one["name"] for one in kept["references"]] == ["public"]
    told = {one["field"] for one in kept["not_kept"]}
    assert "network net: provider attributes" in told
    assert "router router: ha" in told
    assert any(one.startswith("router router: gateway address 203.0.113.") for one in told)
    assert not any(one.startswith("port ") for one in told)


def test_ports_of_nobody_are_told() -> None:
    app = Application()
    app.world.api("neutron").post("/ports", {"port": {
        "name": "virtual", "network_id": app.world.named("networks", "net")["id"]}})
    app.protect()
    told = [one["field"] for one in app.kept("topology", app.topology)["not_kept"]]
    assert "port virtual (10.0.0.2)" in told


def test_below_a_project_all_of_its_networks_are_kept() -> None:
    app = Application()
    app.world.api("neutron").post("/networks", {"network": {"name": "unrelated"}})
    project = Resource(PROJECT, double.PROJECT_ID)
    app.graph = ResourceGraph.build([project], lambda level: {
        one.key: [app.topology, app.server] for one in level if one == project})
    app.protect()
    kept = app.kept("topology", app.topology)
    assert sorted(one["name"] for one in kept["networks"]) == ["net", "unrelated"]
    assert sorted(one["name"] for one in kept["security_groups"]) == ["db", "default", "web"]


def test_many_servers_share_the_lists() -> None:
    app = Application()
    app.protect()
    before = len(app.world.requests)
    (task,) = SERVERS.protect(app.server)[Hook.PREPARE_FINISH]
    app.work(app.server).through(task.run)
    assert sorted(app.world.requests[before:]) == [
        f"GET /servers/{app.server.id}/os-interface",
        f"GET /servers/{app.server.id}/os-volume_attachments"]


@pytest.mark.parametrize("damage", ["checksum", "other"])
def test_verify_reads_back_and_notices(damage: str) -> None:
    app = protected()
    (verify,) = SERVERS.verify(app.server)[Hook.MAIN]
    assert app.work(app.server).through(verify.run).saved["evidence"] == "checksums"
    kept = app.kept("server", app.server)
    if damage == "checksum":
        kept["object"]["checksum"] = "0" * 64
    else:
        kept["id"] = "somebody else"
    with pytest.raises(ObjectDamaged):
        app.work(app.server).through(verify.run)


# -- what is built again

def test_all_lost_all_built_again() -> None:
    app = protected()
    before = essence(app.world)
    floating = next(iter(app.world.things["floatingips"].values()))["floating_ip_address"]
    double.lose(app.world, app.server)
    saved = app.restore()
    world = app.world
    server = world.things["servers"][saved["id"]]
    assert server["status"] == "SHUTOFF"
    assert server["metadata"] == {"tier": "front"}      # the mark is gone
    assert [one["id"] for one in server["os-extended-volumes:volumes_attached"]] == \
        ["new-v1", "new-v2"]
    (port,) = [one for one in world.things["ports"].values() if one["device_id"] == server["id"]]
    assert port["fixed_ips"][0]["ip_address"] == "10.0.0.42"
    assert port["mac_address"] == "fa:16:3e:aa:aa:aa"
    (address,) = world.things["floatingips"].values()
    assert (address["floating_ip_address"], address["port_id"]) == (floating, port["id"])
    after = essence(world)
    for kind in ("networks", "subnets", "security-groups", "os-server-groups", "floatingips"):
        assert after[kind] == before[kind], kind
    router = world.named("routers", "router")
    assert router["routes"] == [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.7"}]
    told = [one["field"] for one in
            app.results["topology", app.topology.key]["not_restored"]]
    assert told == ["router router: gateway address"]
    assert [one["why"] for one in app.results["topology", app.topology.key]["not_restored"]] == [
        "the cloud's policy does not let this user choose it"]
    assert saved["not_restored"] == []
    assert saved["attachments"] == [{"volume": "new-v1", "device": "/dev/vda"},
                                    {"volume": "new-v2", "device": "/dev/vdb"}]


def test_networks_that_still_exist_are_used_again() -> None:
    app = lost(networks=False)
    counts = {kind: len(app.world.things[kind]) for kind in
              ("networks", "subnets", "routers", "security-groups")}
    app.restore()
    assert counts == {kind: len(app.world.things[kind]) for kind in counts}
    saved = app.results["topology", app.topology.key]
    assert saved["created"] == []
    assert all(old == new for old, new in saved["networks"].items())


def test_next_to_the_living_original() -> None:
    app = protected()
    saved = app.restore()
    told = {one["field"]: one["why"] for one in saved["not_restored"]}
    assert "10.0.0.42 cannot be had" in told["port eth0: fixed address"]
    assert "fa:16:3e:aa:aa:aa is in use" in told["port eth0: MAC address"]
    assert any(one.startswith("floating address") for one in told)
    original = next(one for one in app.world.things["floatingips"].values()
                    if one["id"] not in saved["floating"].values())
    assert app.world.things["ports"][original["port_id"]]["device_id"] == app.server.id


def test_new_networks_are_made_where_asked_for_with_the_same_addresses() -> None:
    app = protected()
    app.parameters = {"new_networks": True}
    saved = app.restore()
    assert len([one for one in app.world.things["networks"].values() if one["name"] == "net"]) == 2
    (port,) = saved["ports"].values()
    assert app.world.things["ports"][port]["fixed_ips"][0]["ip_address"] == "10.0.0.42"
    assert app.world.things["ports"][port]["mac_address"] == "fa:16:3e:aa:aa:aa"


def test_a_port_that_survived_its_server_is_used_again_and_never_removed() -> None:
    app = protected()
    app.world.drop_server(app.server.id)
    (port,) = [one["id"] for one in app.world.things["ports"].values() if one["name"] == "eth0"]
    saved = app.restore()
    assert list(saved["ports"].values()) == [port]
    for task, work in reversed(app.tasks()):
        work.handle = {"server": saved["id"], "built": True}
        work.through(task.undo)
    assert port in app.world.things["ports"]


def test_a_group_that_differs_is_told_and_left() -> None:
    app = lost(networks=False)
    web = app.world.named("security-groups", "web")
    web["security_group_rules"].pop()
    app.restore()
    told = app.results["topology", app.topology.key]["not_restored"]
    assert told == [{"field": "security group web",
                     "why": "it exists and was left as it is, with 1 kept rules that it lacks"}]
    assert len(web["security_group_rules"]) == 3


def test_routes_that_are_refused_are_told() -> None:
    app = lost()
    change = double.Neutron._put

    def refusing(self: Any, where: list[str], body: Any) -> Any:
        if body.get("router", {}).get("routes"):
            raise CloudConflict("the nexthop is not connected with router")
        return change(self, where, body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(double.Neutron, "_put", refusing)
        app.restore()
    told = app.results["topology", app.topology.key]["not_restored"]
    assert told[-1] == {"field": "router router: routes",
                        "why": "the nexthop is not connected with router"}
    assert app.world.named("routers", "router")["description"] == ""


def test_lists_end_with_their_cloud() -> None:
    app = protected()
    cloud = weakref.ref(app.world)
    app.world = None
    gc.collect()
    assert cloud() is None


def test_a_server_that_fails_to_build_says_why() -> None:
    app = lost()
    (topology, first), (task, work) = app.tasks()
    app.results["topology", app.topology.key] = first.through(topology.run).saved

    look = app.world.look

    def failing(kind: str, id: str) -> Any:
        if kind == "nova.server":
            app.world.things["servers"][id].update(
                status="ERROR", fault={"message": "No valid host was found."})
        return look(kind, id)

    app.world.look = failing
    with pytest.raises(RemoteFailed, match="No valid host was found"):
        work.through(task.run)


def test_a_volume_that_was_not_restored_is_an_error() -> None:
    app = lost()
    app.results["volume", Resource(VOLUME, "v2").key] = {}
    with pytest.raises(BadInput, match="v2"):
        app.restore()
    assert not app.world.things["servers"]


def test_a_network_of_ones_own_can_be_replaced_by_another() -> None:
    app = lost()
    neutron = app.world.api("neutron")
    other = neutron.post("/networks", {"network": {"name": "other"}})["network"]["id"]
    neutron.post("/subnets", {"subnet": {"network_id": other, "cidr": "172.16.0.0/24",
                                         "gateway_ip": "172.16.0.1"}})
    neutron.post("/routers", {"router": {"name": "elsewhere"}})
    app.parameters = {"map": {"net": "other"}}
    saved = app.restore()
    assert sorted(one["name"] for one in app.world.things["networks"].values()) == \
        ["other", "public"]
    assert [one["name"] for one in app.world.things["routers"].values()] == ["elsewhere"]
    (port,) = saved["ports"].values()
    assert app.world.things["ports"][port]["network_id"] == other
    assert any(one["field"] == "port eth0: fixed address" for one in saved["not_restored"])
    assert not NETWORKS.restore_obstacles([app.topology], app.target(net="other"))
    found = NETWORKS.restore_obstacles([app.topology], app.target(net="typo"))
    assert [one.map_from for one in found] == ["net"]


def test_a_server_can_be_put_on_another_network() -> None:
    app = lost(networks=False)
    neutron = app.world.api("neutron")
    other = neutron.post("/networks", {"network": {"name": "other"}})["network"]["id"]
    neutron.post("/subnets", {"subnet": {"network_id": other, "cidr": "172.16.0.0/24",
                                         "gateway_ip": "172.16.0.1"}})
    app.parameters = {"restore_net_id": other}
    assert not SERVERS.restore_obstacles([app.server], app.target())
    saved = app.restore()
    (port,) = saved["ports"].values()
    assert app.world.things["ports"][port]["network_id"] == other
    assert any(one["field"] == "port eth0: fixed address" for one in saved["not_restored"])
    app.parameters = {"restore_net_id": "gone"}
    [found] = SERVERS.restore_obstacles([app.server], app.target())
    assert "gone, which is not visible" in found.what


def test_an_address_that_follows_from_the_mac_is_not_asked_for() -> None:
    app = Application()
    app.world.named("subnets", "sub")["ipv6_address_mode"] = "slaac"
    app.protect()
    double.lose(app.world, app.server)
    app.world = _again(app.world)
    asked = []
    create = double.Neutron._new_port

    def watched(self: Any, record: Any) -> None:
        asked.append(copy.deepcopy(record.get("fixed_ips")))
        create(self, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(double.Neutron, "_new_port", watched)
        app.restore()
    (subnet,) = app.world.things["subnets"]
    assert asked[-1] == [{"subnet_id": subnet}]


# -- killed anywhere

def _writes(prepare: Callable[[], Application]) -> int:
    app = prepare()
    before = app.world.writes
    app.restore()
    return int(app.world.writes - before)


CASES = {"all lost": lost, "servers lost": lambda: lost(networks=False), "nothing lost": protected}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("case", list(CASES))
def test_killed_around_each_write_it_goes_on_and_makes_nothing_twice(case: str, when: str) -> None:
    prepare = CASES[case]
    whole = prepare()
    whole.restore()
    expected = essence(whole.world)
    total = _writes(prepare)
    assert total > 5
    for number in range(1, total + 1):
        app = prepare()
        app.world.kill = (app.world.writes + number, when)
        saved = app.restore()
        assert _comparable(essence(app.world)) == _comparable(expected), (number, when)
        assert "karbor:" not in repr(app.world.things), (number, when)
        assert saved["id"] in app.world.things["servers"]


def _comparable(essence: Any) -> Any:
    """Without what the double counts up (generated addresses differ when a kill burns a number)."""
    return re.sub(r"203\.0\.113\.\d+|fa:16:3e:00:00:\w+|'id': '[^']*'", "", repr(essence))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("case", list(CASES))
def test_undone_from_anywhere_it_leaves_nothing_behind(case: str, when: str) -> None:
    prepare = CASES[case]
    for number in range(1, _writes(prepare) + 1):
        app = prepare()
        before = app.world.picture()
        app.world.kill = (app.world.writes + number, when)
        tasks = app.tasks()
        for task, work in tasks:
            try:
                while not hasattr(outcome := work.enter(task.run), "saved"):
                    pass
            except double.Killed:
                work.entered_before = True
                break
            app.results[task.name, work.resource.key] = outcome.saved
        for task, work in reversed(tasks):
            work.through(task.undo)
        assert app.world.things == before, (number, when)


def test_killed_while_undoing_it_still_ends() -> None:
    for number in range(1, 40):
        app = lost()
        before = app.world.picture()
        tasks = app.tasks()
        for task, work in tasks:
            app.results[task.name, work.resource.key] = work.through(task.run).saved
        app.world.kill = (app.world.writes + number, "after")
        for task, work in reversed(tasks):
            work.through(task.undo)
        assert app.world.things == before, number


# -- what would fail is known before

def test_nothing_missing_no_obstacles() -> None:
    app = lost()
    assert not SERVERS.restore_obstacles([app.server], app.target())
    assert not NETWORKS.restore_obstacles([app.topology], app.target())
    assert app.world.requests.count("GET /quotas/p1/details") == 1


def test_what_is_missing_is_told_with_a_remedy() -> None:
    app = lost()
    app.world.flavors = [{"id": "f2", "name": "big", "vcpus": 4, "ram": 4096, "disk": 40}]
    app.world.key_pairs = []
    app.world.limits["maxTotalInstances"] = 0
    app.world.quota["port"]["limit"] = 0
    del app.world.things["networks"]["ext"]
    app.world.things["networks"]["ext2"] = {"id": "ext2", "name": "other", "project_id": "admin",
                                            "router:external": True}
    found = [*SERVERS.restore_obstacles([app.server], app.target()),
             *NETWORKS.restore_obstacles([app.topology], app.target())]
    assert {one.map_from for one in found} == {"small", "key", "public", ""}
    assert any("--map small=big, the nearest one here" in one.remedy for one in found)
    assert sum("quota" in one.remedy for one in found) == 2
    (mistaken, *_) = SERVERS.restore_obstacles([app.server], app.target(small="tiny"))
    assert mistaken.what == ("server web-1 is to get the flavor tiny instead of small, which is "
                             "not here")
    app.world.limits["maxTotalInstances"] = 10
    app.world.quota["port"]["limit"] = 100
    app.world.key_pairs = [{"keypair": {"name": "mine", "fingerprint": "cc"}}]
    answers = {"small": "big", "key": "mine", "public": "other"}
    app.world = _again(app.world)
    assert not SERVERS.restore_obstacles([app.server], app.target(**answers))
    assert not NETWORKS.restore_obstacles([app.topology], app.target(**answers))
    app.parameters = {"map": answers}
    saved = app.restore()
    assert app.world.things["servers"][saved["id"]]["key_name"] == "mine"
    assert app.world.named("routers", "router")["external_gateway_info"]["network_id"] == "ext2"


def test_a_key_pair_with_another_key_is_an_obstacle_until_accepted() -> None:
    app = lost()
    app.world.key_pairs[0]["keypair"]["fingerprint"] = "other"
    app.world = _again(app.world)
    (found,) = SERVERS.restore_obstacles([app.server], app.target())
    assert found.map_from == "key"
    assert not SERVERS.restore_obstacles([app.server], app.target(key="key"))


def test_a_router_that_routes_the_addresses_already_is_an_obstacle() -> None:
    app = protected()
    world = app.world
    subnet = world.named("subnets", "sub")
    world.things["subnets"]["new"] = {**subnet, "id": "new", "cidr": "10.0.0.0/23"}
    for port in world.things["ports"].values():
        for fixed in port["fixed_ips"]:
            fixed["subnet_id"] = "new"
    del world.things["subnets"][subnet["id"]]
    app.world = _again(world)
    (found,) = NETWORKS.restore_obstacles([app.topology], app.target())
    assert "overlaps the kept subnet 10.0.0.0/24" in found.what


def test_where_usage_is_hidden_the_limit_alone_decides() -> None:
    app = lost()

    class Hidden:
        def __init__(self, api: Any) -> None:
            self._api = api

        def __getattr__(self, name: str) -> Any:
            return getattr(self._api, name)

        def get(self, path: str, **_: Any) -> Any:
            if path.endswith("/details"):
                raise CloudForbidden("get_quota is disallowed by policy")
            return {"quota": {"network": 0, "subnet": 10}}

    api = app.world.api
    app.world.api = lambda service: Hidden(api(service)) if service == "neutron" else api(service)
    (found,) = NETWORKS.restore_obstacles([app.topology], app.target())
    assert found.what == "the restore needs 1 more networks, and the project may have 0"


def test_a_server_in_error_is_an_obstacle_to_protecting() -> None:
    app = Application()
    assert not SERVERS.protect_obstacles([app.server], app.world)
    app.world.things["servers"][app.server.id]["status"] = "ERROR"
    app.world = _again(app.world)
    (found,) = SERVERS.protect_obstacles([app.server], app.world)
    assert "ERROR" in found.what


def test_the_preview_tells_what_is_made_and_what_differs() -> None:
    app = protected()
    lines = [*NETWORKS.restore_preview(app.topology, app.target()),
             *SERVERS.restore_preview(app.server, app.target())]
    assert "use again network net" in lines
    assert "port with 10.0.0.42: in use, so it gets another address and MAC" in lines
    assert any("not free, so another one is allocated" in one for one in lines)
    # The same address on another network says nothing of this one.
    app.world.things["ports"]["other"] = {
        "id": "other", "network_id": "elsewhere", "project_id": "p1", "device_id": "x",
        "fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.42"}]}
    app.world = _again(app.world)
    assert ("port with 10.0.0.42: in use, so it gets another address and MAC"
            in SERVERS.restore_preview(app.server, app.target()))
    double.lose(app.world, app.server)
    app.world = _again(app.world)
    lines = [*NETWORKS.restore_preview(app.topology, app.target()),
             *SERVERS.restore_preview(app.server, app.target())]
    assert "create network net" in lines
    assert "port with 10.0.0.42" in lines
    assert "create server web-1, flavor small, booted from its volume, with 1 more volume" in lines
