"""What Nova and Neutron store is more than what they take: restores that must go through, or say
beforehand what they cannot give back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from karbor.domain.errors import CloudConflict, CloudForbidden, CloudUnavailable, TokenRejected
from karbor.plugin.cosmetics import TRIES
from karbor.protections.nova_input import refused_name, split_metadata, takes_hostname
from tests.unit.protections.test_server_network import (
    NETWORKS,
    SERVERS,
    Application,
    double,
    essence,
)


def kept(change: Callable[[Application], None]) -> Application:
    """An application that was changed before it was protected."""
    app = Application()
    change(app)
    app.protect()
    return app


def again(app: Application) -> Application:
    app.world = copy.copy(app.world)        # a new operation has lists of its own
    return app


def gone(app: Application) -> Application:
    double.lose(app.world, app.server)
    return again(app)


def server_of(app: Application) -> Any:
    return app.world.things["servers"][app.server.id]


# -- names and hostnames

@pytest.mark.parametrize(("hostname", "version", "taken"), [
    ("web-1", "2.90", True), ("web-1", "2.89", False), ("web_1", "2.90", False),
    ("web_1", "2.94", True), ("web.example", "2.93", False), ("web.example", "2.94", True),
    ("müller-db", "2.96", False), ("müller-db", "2.90", False), ("w", "2.90", False),
    ("w" * 64, "2.93", False), ("w" * 64, "2.94", True), ("", "2.96", False),
    ("-web", "2.90", False)])
def test_a_hostname_is_asked_for_where_nova_takes_it(hostname: str, version: str, taken: bool
                                                     ) -> None:
    assert takes_hostname(hostname, version) is taken


def test_a_server_whose_hostname_nova_derived_is_built_again() -> None:
    def rename(app: Application) -> None:
        server_of(app).update({"name": "müller-db", "OS-EXT-SRV-ATTR:hostname": "müller-db"})

    app = gone(kept(rename))
    assert not SERVERS.restore_obstacles([app.server], app.target())
    server = app.world.things["servers"][app.restore()["id"]]
    assert (server["name"], server["OS-EXT-SRV-ATTR:hostname"]) == ("müller-db", "müller-db")


@pytest.mark.parametrize(("name", "why"), [
    ("web 1", ""), ("müller-db", ""), ("web-☃", ""), ("", "0 characters"), ("w" * 256, "256"),
    (" web", "a space"), ("web\u00a0", "a space"), ("we\nb", r"the character '\n'"),
    ("web\u200b", "the character"), ("web 🚀", r"the character '\U0001f680'")])
def test_names_that_nova_refuses(name: str, why: str) -> None:
    assert why in refused_name(name)
    assert bool(refused_name(name)) is bool(why)


def test_a_name_that_nova_will_refuse_is_an_obstacle() -> None:
    app = gone(kept(lambda app: None))
    app.parameters = {"restore_name": " web"}
    [found] = SERVERS.restore_obstacles([app.server], app.target())
    assert "' web'" in found.what
    assert f"--name {app.server.id}=NAME" in found.remedy


# -- metadata and marks

FULL = {f"key-{number}": "value" for number in range(128)}


def full(app: Application, *, says: int = 128, really: int = 128) -> None:
    server_of(app).update(metadata=dict(FULL), description="the first of many")
    app.world.limits["maxServerMeta"] = says
    app.world.real_metadata_limit = really


FULL_SERVERS = {"as Nova says": full,
                "though Nova says otherwise": lambda app: full(app, says=-1)}


@pytest.mark.parametrize("case", list(FULL_SERVERS))
def test_a_server_with_all_its_metadata_is_built_again(case: str) -> None:
    app = gone(kept(FULL_SERVERS[case]))
    assert not SERVERS.restore_obstacles([app.server], app.target())
    saved = app.restore()
    server = app.world.things["servers"][saved["id"]]
    assert server["metadata"] == FULL
    assert server["description"] == "the first of many"
    assert saved["not_restored"] == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("case", list(FULL_SERVERS))
def test_a_mark_in_the_other_place_is_found_again(case: str, when: str) -> None:
    """Killed around each write: gone on with, and undone, without a second server or a mark."""
    whole = gone(kept(FULL_SERVERS[case]))
    before = whole.world.writes
    whole.restore()
    for number in range(1, whole.world.writes - before + 1):
        app = gone(kept(FULL_SERVERS[case]))
        app.world.kill = (app.world.writes + number, when)
        app.restore()
        assert len(app.world.things["servers"]) == 1, number
        assert "karbor:" not in repr(app.world.things), number

        app = gone(kept(FULL_SERVERS[case]))
        before_it = app.world.picture()
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
        assert app.world.things == before_it, number


def test_more_metadata_than_a_server_may_have_is_an_obstacle() -> None:
    app = gone(kept(full))
    app.world.limits["maxServerMeta"] = 100
    [found] = SERVERS.restore_obstacles([app.server], app.target())
    assert found.what == ("server web-1 has 128 items of metadata, and a server may have 100 here")


def test_metadata_that_nova_takes_no_more_are_told_before_and_after() -> None:
    assert split_metadata({"a/b": "1", "a b": "2", "c": "x" * 256}) == (
        {"a b": "2"}, {"a/b": "1", "c": "x" * 256})
    app = gone(kept(lambda app: server_of(app).update(metadata={"a/b": "1", "tier": "front"})))
    line = "without the metadata a/b, which Nova does not take any more"
    assert line in SERVERS.restore_preview(app.server, app.target())
    saved = app.restore()
    assert app.world.things["servers"][saved["id"]]["metadata"] == {"tier": "front"}
    assert saved["not_restored"] == [{"field": "metadata a/b",
                                      "why": "Nova does not take it any more"}]


# -- key pairs

def test_a_server_can_be_built_without_its_key_pair() -> None:
    app = gone(kept(lambda app: None))
    app.world.key_pairs = []
    [found] = SERVERS.restore_obstacles([app.server], app.target())
    assert "--map key= to build the server without one" in found.remedy
    again(app)
    assert not SERVERS.restore_obstacles([app.server], app.target(key=""))
    assert "without a key pair: it had key" in SERVERS.restore_preview(
        app.server, app.target(key=""))
    app.parameters = {"map": {"key": ""}}
    saved = app.restore()
    assert app.world.things["servers"][saved["id"]]["key_name"] is None
    assert saved["not_restored"] == [{"field": "key pair key",
                                      "why": "the server was to be built without one"}]


def test_nothing_but_a_key_pair_can_be_left_out() -> None:
    app = gone(kept(lambda app: None))
    app.parameters = {"map": {"small": ""}}
    [found] = SERVERS.restore_obstacles([app.server], app.target())
    assert found.what == "server web-1 cannot be built without small"
    assert SERVERS.optional({"server": app.kept("server", app.server)}) == ["key"]


# -- several addresses of one port

def two_addresses(app: Application) -> None:
    [port] = [one for one in app.world.things["ports"].values() if one["name"] == "eth0"]
    port["fixed_ips"].append({**port["fixed_ips"][0], "ip_address": "10.0.0.43"})
    [floating] = app.world.things["floatingips"].values()
    floating["fixed_ip_address"] = "10.0.0.43"


def test_a_port_with_two_addresses_and_a_floating_one_comes_back() -> None:
    app = kept(two_addresses)
    before = essence(app.world)["floatingips"]
    gone(app)
    saved = app.restore()
    [port] = [one for one in app.world.things["ports"].values() if one["device_id"] == saved["id"]]
    assert [one["ip_address"] for one in port["fixed_ips"]] == ["10.0.0.42", "10.0.0.43"]
    assert essence(app.world)["floatingips"] == before
    assert saved["not_restored"] == []


def test_beside_its_original_a_port_has_as_many_addresses() -> None:
    app = again(kept(two_addresses))
    saved = app.restore()
    [port] = [one for one in app.world.things["ports"].values() if one["device_id"] == saved["id"]]
    addresses = [one["ip_address"] for one in port["fixed_ips"]]
    assert len(set(addresses)) == 2
    assert not {"10.0.0.42", "10.0.0.43"} & set(addresses)
    [new] = saved["floating"].values()
    floating = app.world.things["floatingips"][new]
    assert floating["fixed_ip_address"] == addresses[1]     # in the place of the kept one
    assert floating["description"] == "door"


def test_of_two_addresses_the_free_one_is_kept() -> None:
    app = gone(kept(two_addresses))
    neutron = app.world.api("neutron")
    topology, first = app.tasks()[0]
    app.results["topology", app.topology.key] = first.through(topology.run).saved
    maps = app.results["topology", app.topology.key]
    [network], [subnet] = ([one for one in maps[kind].values() if one != "ext"]
                           for kind in ("networks", "subnets"))
    neutron.post("/ports", {"port": {"network_id": network, "fixed_ips": [
        {"subnet_id": subnet, "ip_address": "10.0.0.42"}]}})
    task, work = app.tasks()[1]
    saved = work.through(task.run).saved
    [addresses] = saved["addresses"].values()
    assert "10.0.0.43" in addresses
    assert len(addresses) == 2


# -- what only decorates

REFUSALS = [CloudConflict("Bad floatingip request", service="neutron", status=400),
            CloudForbidden("update_port is disallowed by policy", service="neutron", status=403)]


def decorating(body: Any) -> bool:
    return any("description" in one or "metadata" in one for one in (body or {}).values()
               if isinstance(one, dict)) or "tags" in (body or {})


def refusing(app: Application, error: Exception) -> list[int]:
    """The cloud refuses whatever only decorates; returns a counter of these requests."""
    counted = [0]

    class Refusing:
        def __init__(self, api: Any) -> None:
            self._api = api

        def __getattr__(self, name: str) -> Any:
            return getattr(self._api, name)

        def put(self, path: str, body: Any = None, **more: Any) -> Any:
            if decorating(body):
                counted[0] += 1
                raise error
            return self._api.put(path, body, **more)

        def delete(self, path: str, **more: Any) -> None:
            if "/metadata/" in path:
                counted[0] += 1
                raise error
            self._api.delete(path, **more)

    api = app.world.api
    app.world.api = lambda service: Refusing(api(service))
    return counted


@pytest.mark.parametrize("error", REFUSALS)
def test_decorations_that_are_refused_undo_nothing_and_are_told(error: CloudConflict) -> None:
    app = gone(kept(lambda app: None))
    counted = refusing(app, error)
    saved = app.restore()
    assert app.world.things["servers"][saved["id"]]["status"] == "SHUTOFF"
    told = {one["field"]: one["why"] for one in saved["not_restored"]}
    assert told == {
        "port eth0: description": f"it still bears Karbor's mark; {error.message}",
        "metadata": f"it still bears Karbor's mark; {error.message}"}
    networks = {one["field"] for one in
                app.results["topology", app.topology.key]["not_restored"]}
    assert {"network net: description", "subnet sub: description", "router router: description",
            "security group web: description", "security group web: tags"} <= networks
    assert counted[0] == len(told) + len([one for one in networks if "gateway" not in one])


@pytest.mark.parametrize("error", [CloudUnavailable("neutron answered 503", status=503),
                                   TokenRejected("the token is over")])
def test_decorations_that_must_wait_are_sent_again_a_stated_number_of_times(error: Exception
                                                                            ) -> None:
    app = gone(kept(lambda app: None))
    tasks = app.tasks()
    task, work = tasks[0]
    app.results["topology", app.topology.key] = work.through(task.run).saved
    refusing(app, error)
    task, work = tasks[1]
    waits = []
    while not hasattr(outcome := work.enter(task.run), "saved"):
        if outcome.progress is not None and "names and descriptions wait" in outcome.progress.text:
            waits.append(outcome.after)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert len(waits) == TRIES
    assert [one["field"] for one in outcome.saved["not_restored"]] == [
        "port eth0: description", "metadata"]


def test_a_zone_or_a_qos_policy_that_is_gone_is_told() -> None:
    app = gone(kept(lambda app: app.world.named("ports", "eth0").update(qos_policy_id="qos-gone")))
    create = double.Neutron._new_port

    def without(self: Any, record: Any) -> None:
        if record.get("qos_policy_id"):
            raise double.CloudNotFound("QoS policy qos-gone could not be found.")
        create(self, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(double.Neutron, "_new_port", without)
        saved = app.restore()
    assert saved["not_restored"] == [{"field": "port eth0: qos_policy_id",
                                      "why": "QoS policy qos-gone could not be found."}]


# -- rules that refer to other groups

def referring(kind: str, owner: str) -> Callable[[Application], None]:
    def change(app: Application) -> None:
        things = app.world.things[kind]
        things["other"] = {"id": "other", "name": "office", "project_id": owner, "description": "",
                           "addresses": ["192.0.2.0/24"], "security_group_rules": [], "tags": []}
        remote = ("remote_group_id" if kind == "security-groups" else "remote_address_group_id")
        app.world.api("neutron").post("/security-group-rules", {"security_group_rules": [
            {"security_group_id": app.world.named("security-groups", "web")["id"],
             "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 22,
             "port_range_max": 22, remote: "other"}]})
    return change


def rules(app: Application, remote: str) -> list[Any]:
    return [one for one in app.world.named("security-groups", "web")["security_group_rules"]
            if one.get(remote)]


@pytest.mark.parametrize("owner", [double.PROJECT_ID, "theirs"])
def test_rules_refer_to_address_groups_that_still_exist(owner: str) -> None:
    app = kept(referring("address-groups", owner))
    there = copy.deepcopy(app.world.things["address-groups"])
    gone(app)
    app.restore()
    assert [one["remote_address_group_id"] for one in rules(app, "remote_address_group_id")] == [
        "other"]
    assert app.world.things["address-groups"] == there


def test_an_address_group_of_the_project_that_is_gone_is_made_again() -> None:
    app = gone(kept(referring("address-groups", double.PROJECT_ID)))
    app.world.things["address-groups"].clear()
    assert "create address group office" in NETWORKS.restore_preview(app.topology, app.target())
    app.restore()
    made = app.world.named("address-groups", "office")
    assert (made["addresses"], made["description"]) == (["192.0.2.0/24"], "")
    assert [one["remote_address_group_id"] for one in rules(app, "remote_address_group_id")] == [
        made["id"]]


@pytest.mark.parametrize(("kind", "word"), [("address-groups", "address group"),
                                            ("security-groups", "security group")])
def test_rules_that_refer_to_a_group_of_others_that_is_gone_are_told(kind: str, word: str) -> None:
    app = gone(kept(referring(kind, "theirs")))
    app.world.things[kind].pop("other", None)
    assert (f"security group web: without the rules that refer to the {word} other, which is not "
            "visible here") in NETWORKS.restore_preview(app.topology, app.target())
    app.restore()
    told = app.results["topology", app.topology.key]["not_restored"]
    assert [one["field"] for one in told if "rule" in one["field"]] == [
        "security group web: rule ingress IPv4 tcp 22 from other"]
    web = app.world.named("security-groups", "web")["security_group_rules"]
    assert len(web) == 4        # all the others: two that let everything out, tls, and db


def test_a_security_group_of_others_that_is_gone_costs_the_port_nothing_else() -> None:
    app = Application()
    groups = app.world.things["security-groups"]
    groups["theirs"] = {"id": "theirs", "name": "theirs", "project_id": "other",
                        "security_group_rules": [], "tags": [], "description": ""}
    app.world.named("ports", "eth0")["security_groups"].append("theirs")
    app.protect()
    gone(app)
    groups.pop("theirs", None)
    line = "without the security group theirs of its ports, which is not visible here"
    assert line in SERVERS.restore_preview(app.server, app.target())
    saved = app.restore()
    [port] = [one for one in app.world.things["ports"].values() if one["device_id"] == saved["id"]]
    assert port["security_groups"] == [app.world.named("security-groups", "web")["id"]]
    assert saved["not_restored"] == [{"field": "port eth0: security group theirs",
                                      "why": "it is not visible here"}]
