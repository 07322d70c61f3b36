"""From a project or some resources to a graph, with bulk lists only."""

from __future__ import annotations

from typing import Any

import pytest

from karbor.domain.errors import CloudUnavailable, UnknownName
from karbor.domain.resource import (
    DATABASE,
    IMAGE,
    NETWORK,
    POD,
    PROJECT,
    SERVER,
    SHARE,
    VOLUME,
    Resource,
    ResourceGraph,
)
from karbor.operations.discovery import discover as discover_all
from karbor.operations.selection import resolve, select
from karbor.plugin.protectable import DiscoveryLists
from karbor.protectables.database import Databases
from karbor.protectables.image import Images
from karbor.protectables.network import Networks
from karbor.protectables.pod import Pods
from karbor.protectables.project import Projects
from karbor.protectables.server import Servers
from karbor.protectables.share import Shares
from karbor.protectables.volume import Volumes
from tests.unit.protections.scripted import ScriptedCloud

ALL = [Projects(), Servers(), Volumes(), Images(), Networks(), Shares(), Databases(), Pods()]


def server(number: int, *, image: str = "base", volumes: tuple[str, ...] = (),
           addresses: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": f"server-{number}", "name": f"web-{number}", "status": "ACTIVE",
            "image": {"id": image} if image else "", "addresses": addresses or {},
            "os-extended-volumes:volumes_attached": [{"id": one} for one in volumes], **more}


def volume(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "name": id, "status": "in-use", "size": 3, "bootable": "true",
            "volume_type": "file", "availability_zone": "nova", "encrypted": False,
            "multiattach": False, "attachments": [
                {"server_id": "server-1", "device": "/dev/vdb", "attachment_id": "a"}], **more}


def image(id: str, owner: str = "project", **more: Any) -> dict[str, Any]:
    return {"id": id, "name": f"{id}-name", "owner": owner, "status": "active", "size": 5,
            "disk_format": "raw", "visibility": "private", "protected": False, **more}


def cloud(servers: list[Any], volumes: list[Any], images: list[Any], ports: list[Any] = (),
          **more: Any) -> ScriptedCloud:
    def matching(params: dict[str, str]) -> list[Any]:
        if "id" in params:
            wanted = params["id"].removeprefix("in:").split(",")
            return [one for one in images if one["id"] in wanted]
        return [one for one in images if str(bool(one.get("os_hidden"))).lower()
                == params["os_hidden"]]

    return ScriptedCloud(nova={"LIST /servers/detail": servers},
                         cinder={"LIST /volumes/detail": volumes},
                         glance={"LIST /images": matching},
                         neutron={"LIST /ports": list(ports)}, **more)


def discover(start: list[Resource], listings: DiscoveryLists) -> ResourceGraph:
    def dependents(level: Any) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for protectable in ALL:
            for key, children in protectable.dependents(level, listings).items():
                found.setdefault(key, []).extend(children)
        return found
    return ResourceGraph.build(start, dependents)


def keys(resources: Any) -> list[str]:
    return sorted(one.key for one in resources)


def test_a_project_holds_all_and_servers_hold_their_own() -> None:
    listings = DiscoveryLists(cloud(
        [server(1, volumes=("v2", "v1")), server(2, image="", volumes=("boot",))],
        [volume("v1"), volume("v2"), volume("boot"), volume("alone")],
        [image("base", owner="somebody else", visibility="public"), image("own"),
         image("hidden", os_hidden=True)],
        [{"id": "p", "device_id": "server-2"}]))
    project, = Projects().list(listings)
    graph = discover([project], listings)
    assert graph.roots == [f"{PROJECT}#project"]
    assert keys(graph.children(project.key)) == sorted([
        f"{SERVER}#server-1", f"{SERVER}#server-2", f"{VOLUME}#v1", f"{VOLUME}#v2",
        f"{VOLUME}#boot", f"{VOLUME}#alone", f"{IMAGE}#own", f"{IMAGE}#hidden",
        f"{NETWORK}#project"])
    assert [one.key for one in graph.children(f"{SERVER}#server-1")] == [
        f"{VOLUME}#v2", f"{VOLUME}#v1", f"{IMAGE}#base@server-1"]
    assert [one.key for one in graph.children(f"{SERVER}#server-2")] == [
        f"{VOLUME}#boot", f"{NETWORK}#project"]


def test_two_servers_from_one_image_are_two_disks() -> None:
    listings = DiscoveryLists(cloud([server(1), server(2)], [], [image("base", owner="x")]))
    graph = discover(Servers().list(listings), listings)
    assert keys(graph.of_type(IMAGE)) == [f"{IMAGE}#base@server-1", f"{IMAGE}#base@server-2"]
    assert graph[f"{IMAGE}#base@server-1"].name == "base-name (disk of web-1)"


def test_a_disk_outlives_its_base_image() -> None:
    listings = DiscoveryLists(cloud([server(1, image="gone")], [], []))
    disk, = Images().dependents(Servers().list(listings), listings)[f"{SERVER}#server-1"]
    assert (disk.id, disk.within, disk.facts["base"]) == ("gone", "server-1", "gone")
    assert disk.name == "gone (disk of web-1)"


def test_a_volume_of_a_server_that_cinder_does_not_list_is_told_not_dropped() -> None:
    listings = DiscoveryLists(cloud([server(1, volumes=("theirs",))], [volume("v1")], []))
    one, = Volumes().dependents(Servers().list(listings), listings)[f"{SERVER}#server-1"]
    assert (one.key, one.facts["status"]) == (f"{VOLUME}#theirs", "invisible")


def test_images_that_karbor_is_just_making_are_not_the_users() -> None:
    listings = DiscoveryLists(
        cloud([], [], [image("own"), image("temporary", karbor_mark="karbor:x")])
    )
    assert keys(Images().list(listings)) == [f"{IMAGE}#own"]


def test_an_administrators_list_shows_only_the_projects_own_images() -> None:
    listings = DiscoveryLists(cloud([], [], [image("own"), image("theirs", owner="other")]))
    assert keys(Images().list(listings)) == [f"{IMAGE}#own"]


def test_addresses_alone_connect_a_server_too() -> None:
    listings = DiscoveryLists(cloud(
        [server(1, addresses={"net": [{"addr": "10.0.0.3"}]}), server(2)], [], []))
    found = Networks().dependents(Servers().list(listings), listings)
    assert list(found) == [f"{SERVER}#server-1"]


def test_without_neutron_there_is_no_topology() -> None:
    bare = cloud([server(1)], [], [])
    del bare.apis["neutron"]
    listings = DiscoveryLists(bare)
    assert list(Networks().list(listings)) == []
    assert Networks().dependents(Servers().list(listings), listings) == {}


def test_facts_tell_what_plugins_need_without_another_request() -> None:
    listings = DiscoveryLists(cloud([server(1, volumes=("v1",), flavor={"original_name": "m1"})],
                                    [volume("v1")], []))
    one, = Servers().list(listings)
    assert one.facts == {"status": "ACTIVE", "created_at": "", "task_state": None,
                         "image_id": "base", "boot": "image", "flavor": "m1",
                         "availability_zone": "", "volumes": ["v1"], "labels": []}
    assert Volumes().list(listings)[0].facts == {
        "status": "in-use", "created_at": "", "size": 3, "availability_zone": "nova",
        "volume_type": "file", "bootable": True, "encrypted": False, "multiattach": False,
        "attachments": [
            {"server_id": "server-1", "device": "/dev/vdb", "attachment_id": "a"}],
        "labels": []}


def test_labels_are_tags_and_metadata() -> None:
    listings = DiscoveryLists(
        cloud(
            [{**server(1), "tags": ["web"], "metadata": {"backup": "gold"}}],
            [{**volume("v1"), "metadata": {"tier": "1"}}],
            [],
        )
    )
    assert Servers().list(listings)[0].labels == {"web", "backup=gold"}
    assert Volumes().list(listings)[0].labels == {"tier=1"}


@pytest.mark.parametrize("service", ["nova", "cinder", "glance", "neutron"])
def test_a_list_that_fails_is_an_error_not_a_smaller_application(service: str) -> None:
    broken = cloud([server(1, volumes=("v1",))], [volume("v1")], [image("base")])
    script = broken.apis[service]._script
    for request in script:
        script[request] = CloudUnavailable(f"{service} is down")     # type: ignore[index]
    listings = DiscoveryLists(broken)
    with pytest.raises(CloudUnavailable, match=service):
        discover(Projects().list(listings), listings)


def test_a_server_of_a_cell_that_is_down_is_an_error() -> None:
    partial = {"id": "server-1", "status": "UNKNOWN"}     # as Nova lists it from 2.69 on
    listings = DiscoveryLists(cloud([partial], [], []))
    with pytest.raises(CloudUnavailable, match="cell does not answer"):
        Servers().list(listings)


def test_a_server_that_is_not_there_is_an_error() -> None:
    listings = DiscoveryLists(cloud([], [], []))
    with pytest.raises(UnknownName, match="web-9"):
        discover([Resource(SERVER, "server-9", "web-9")], listings)


def test_the_number_of_requests_does_not_grow_with_resources() -> None:
    def requests(count: int) -> list[str]:
        asked = cloud([server(n, volumes=(f"v{n}",)) for n in range(count)],
                      [volume(f"v{n}") for n in range(count)], [image("base", owner="x")],
                      [{"id": f"p{n}", "device_id": f"server-{n}"} for n in range(count)])
        listings = DiscoveryLists(asked)
        graph = discover(Projects().list(listings), listings)
        assert len(graph) == 2 + 3 * count
        return asked.log

    assert sorted(requests(1)) == sorted(requests(50)) == [
        "cinder LIST /volumes/detail", "glance LIST /images", "glance LIST /images",
        "glance LIST /images", "neutron LIST /ports", "nova LIST /servers/detail"]


# ------------------------------------------------------------- what not every cloud has
def pod(name: str, *volumes: dict[str, Any], phase: str = "Running") -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": name}, "status": {"phase": phase},
            "spec": {"nodeName": "n1", "volumes": [{"name": "v", **one} for one in volumes]}}


def claimed(name: str) -> dict[str, Any]:
    return {"persistentVolumeClaim": {"claimName": name}}


def persistent(claim: str, namespace: str = "shop", **source: Any) -> dict[str, Any]:
    return {"metadata": {"name": f"pv-{claim}"}, "spec": {
        "claimRef": {"namespace": namespace, "name": claim}, **source}}


def csi(handle: str, driver: str = "cinder.csi.openstack.org") -> dict[str, Any]:
    return {"csi": {"driver": driver, "volumeHandle": handle}}


def cluster(pods: list[Any], persistents: list[Any]) -> dict[str, Any]:
    return {"LIST /namespaces/%(namespace)s/pods": pods, "LIST /persistentvolumes": persistents}


def test_shares_are_the_projects_own() -> None:
    def share(id: str, **more: Any) -> dict[str, Any]:
        return {"id": id, "name": id, "project_id": "project", "status": "available", "size": 2,
                "share_proto": "NFS", "share_type": "type-id", "share_type_name": "gold",
                "availability_zone": "nova", "snapshot_support": True, **more}
    listings = DiscoveryLists(cloud([], [], [], manila={"LIST /shares/detail": [
        share("own", create_share_from_snapshot_support=True),
        share("public", project_id="other", is_public=True)]}))
    one, = Shares().list(listings)
    assert (one.key, one.facts) == (f"{SHARE}#own", {
        "status": "available", "created_at": "", "size": 2, "share_proto": "NFS",
        "share_type": "gold", "availability_zone": "nova", "snapshot_support": True,
        "create_share_from_snapshot_support": True})


def test_a_project_holds_its_shares_databases_and_pods_and_pods_their_volumes() -> None:
    asked = cloud(
        [], [volume("v1"), volume("v2"), volume("v3"), volume("v4")], [],
        manila={"LIST /shares/detail": [{"id": "s", "project_id": "project", "size": 1}]},
        trove={"LIST /instances": [{
            "id": "d", "name": "orders", "status": "ACTIVE", "volume": {"size": 5},
            "datastore": {"type": "mysql", "version": "8.4"}}]},
        kubernetes=cluster(
            [pod("web", claimed("data"), {"emptyDir": {}}, {"cinder": {"volumeID": "v2"}},
                 {"ephemeral": {"volumeClaimTemplate": {}}}, claimed("data"), claimed("nfs"),
                 claimed("foreign")),
             pod("job", phase="Succeeded")],
            [persistent("data", **csi("v1")), persistent("data", "other", **csi("v4")),
             persistent("web-v", cinder={"volumeID": "v3"}),
             persistent("nfs", **csi("share-1", "nfs.csi.k8s.io")),
             persistent("foreign", **csi("theirs"))]))
    listings = DiscoveryLists(asked)
    project, = Projects().list(listings)
    graph = discover([project], listings)
    assert {f"{SHARE}#s", f"{DATABASE}#d"} <= set(keys(graph.children(project.key)))
    assert graph[f"{DATABASE}#d"].facts == {
        "status": "ACTIVE", "size": 5, "datastore": "mysql", "datastore_version": "8.4"}
    web, job = graph.of_type(POD)
    assert (web.name, web.facts) == ("shop:web", {
        "status": "Running", "namespace": "shop", "node": "n1"})
    assert web.id == "5503ec3d-2963-5762-9af8-5b451629a2d5"     # as Karbor 1.x made it
    assert [one.id for one in graph.children(web.key)] == ["v1", "v2", "v3", "theirs"]
    assert graph[f"{VOLUME}#theirs"].facts == {"status": "invisible"}
    assert graph.children(job.key) == []
    assert asked.log.count("kubernetes LIST /persistentvolumes") == 1


def test_a_pod_that_is_gone_is_an_error() -> None:
    listings = DiscoveryLists(cloud([], [], [], kubernetes=cluster([], [])))
    with pytest.raises(UnknownName, match="no pod shop:web"):
        discover([Resource(POD, "gone", "shop:web")], listings)


@pytest.mark.parametrize(("service", "listed"), [
    ("manila", "LIST /shares/detail"), ("trove", "LIST /instances"),
    ("kubernetes", "LIST /namespaces/%(namespace)s/pods")])
def test_a_service_that_is_there_and_fails_is_no_service_that_is_absent(
        service: str, listed: str) -> None:
    listings = DiscoveryLists(cloud([], [], [], **{
        service: {listed: CloudUnavailable(f"{service} is down")}}))
    with pytest.raises(CloudUnavailable, match=service):
        discover(Projects().list(listings), listings)


# -- as Karbor 1.x had it

def connected() -> ScriptedCloud:
    """A server with an image, two volumes and a port, and a network of the project."""
    made = cloud([server(1, volumes=("v1", "v2"), addresses={"net": []})],
                 [volume("v1"), volume("v2")], [image("base")])
    made.apis["neutron"]._script["LIST /networks"] = [
        {"id": "net-1", "name": "inner"}, {"id": "net-2", "name": "inner"},
        {"id": "out", "name": "public", "router:external": True}]
    return made


def test_dependents_come_in_the_order_of_karbor_1() -> None:
    """An image, the volumes, and the network last, whatever the plugins' names are."""
    for kinds in (ALL, [*reversed(ALL)]):
        made = connected()
        [web] = Servers().list(DiscoveryLists(made))
        graph = discover_all(made, {one.type: one for one in kinds}, [web])
        assert [(one.type, one.id) for one in graph.children(web.key)] == [
            (IMAGE, "base"), (VOLUME, "v1"), (VOLUME, "v2"), (NETWORK, "project")]


@pytest.mark.parametrize("id", ["project", "net-1", "out"])
def test_a_plan_that_names_a_network_by_its_id_means_the_topology(id: str) -> None:
    found = resolve([{"type": NETWORK, "id": id, "name": "inner"}], [],
                    {one.type: one for one in ALL}, DiscoveryLists(connected()))
    assert [one.key for one in found] == [f"{NETWORK}#project"]


def test_several_networks_are_one_topology() -> None:
    wanted = [{"type": NETWORK, "id": id} for id in ("net-1", "net-2", "project")]
    kinds = {one.type: one for one in ALL}
    found = resolve(wanted, [], kinds, DiscoveryLists(connected()))
    assert [one.key for one in found] == [f"{NETWORK}#project"]
    with pytest.raises(UnknownName, match="net-9"):
        resolve([{"type": NETWORK, "id": "net-9"}], [], kinds, DiscoveryLists(connected()))
    with pytest.raises(UnknownName):        # names of networks are not ids
        resolve([{"type": NETWORK, "id": "inner"}], [], kinds, DiscoveryLists(connected()))


@pytest.mark.parametrize("word", ["net-1", "network:net-1", f"{NETWORK}#net-1", "network:inner"])
def test_a_network_that_somebody_names_means_the_topology(word: str) -> None:
    kinds = {one.type: one for one in (Servers(), Volumes(), Images(), Networks())}
    found = select([word], kinds, DiscoveryLists(connected()))
    assert [one.key for one in found] == [f"{NETWORK}#project"]


@pytest.mark.parametrize("word", ["inner", "network:outer", "server:net-1"])
def test_the_name_of_a_network_alone_means_nothing(word: str) -> None:
    """A person who mistypes the name of a server does not protect a topology instead."""
    kinds = {one.type: one for one in (Servers(), Volumes(), Images(), Networks())}
    with pytest.raises(UnknownName):
        select([word], kinds, DiscoveryLists(connected()))
