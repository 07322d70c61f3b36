"""The double of OpenStack, asked by real clients: what they understand has the right shape."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openstack
import pytest
import requests
from karbor_testing.openstack import Double
from keystoneauth1 import exceptions, service_token, session
from keystoneauth1.identity import v3
from openstack import exceptions as sdk

# The SDK warns of its own deprecated methods.
pytestmark = [pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning"),
              pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning")]


@pytest.fixture(scope="module")
def shared() -> Iterator[Double]:
    with Double() as one:
        yield one


@pytest.fixture
def double(shared: Double) -> Iterator[Double]:
    """With the settings of a new one; things of earlier tests may still be there."""
    yield shared
    shared.heal()
    shared.set(looks={"*": 1}, seconds=1.0, held=[], outcomes=[], quotas={}, page=1000,
               token_life=3600.0, window=172800.0, backup_service=True)


def connect(double: Double, user: str = "demo") -> openstack.connection.Connection:
    return openstack.connection.Connection(
        session=session.Session(auth=password(double, user)), region_name="RegionOne",
        block_storage_api_version="3")


@pytest.fixture
def demo(double: Double) -> Iterator[openstack.connection.Connection]:
    connection = connect(double)
    yield connection
    connection.close()


def password(double: Double, user: str) -> v3.Password:
    return v3.Password(double.auth_url, username=user, password=double.cloud(user)["auth"][
        "password"], project_name=double.cloud(user)["auth"]["project_name"],
        user_domain_id="default", project_domain_id="default")


def ask(double: Double, user: str = "demo", service: str = "volumev3"
        ) -> tuple[session.Session, str]:
    one = session.Session(auth=password(double, user))
    return one, str(one.get_endpoint(service_type=service))


class TestApplicationCredentials:
    def test_one_logs_its_user_in_until_it_is_removed(self, double: Double) -> None:
        mine, _ = ask(double)
        base = f"{double.auth_url}/users/{mine.get_user_id()}/application_credentials"
        made = mine.post(base, json={"application_credential": {
            "name": "for karbor", "roles": [{"name": "reader"}]}}).json()["application_credential"]
        login = v3.ApplicationCredential(double.auth_url, application_credential_id=made["id"],
                                         application_credential_secret=made["secret"])
        other = session.Session(auth=login)
        access = login.get_access(other)
        assert (access.user_id, access.project_id) == (mine.get_user_id(), mine.get_project_id())
        assert access.role_names == ["reader"]
        shown = other.get(f"{base}/{made['id']}").json()["application_credential"]
        assert (shown["name"], "secret" in shown) == ("for karbor", False)
        with pytest.raises(exceptions.Forbidden):       # it is restricted
            other.post(base, json={"application_credential": {"name": "another"}})

        mine.delete(f"{base}/{made['id']}")
        # Its tokens go with it (401): the session logs in again.
        with pytest.raises(exceptions.NotFound, match="Could not find Application Credential"):
            other.get(f"{double.auth_url}/auth/catalog")


class TestVolumes:
    def test_a_volume_is_creating_at_the_first_look_and_then_available(
            self, demo: openstack.connection.Connection) -> None:
        made = demo.block_storage.create_volume(size=1, name="v", metadata={"mark": "m"})
        assert made.status == "creating"
        seen = [demo.block_storage.get_volume(made.id).status for _ in range(2)]
        assert seen == ["creating", "available"]
        assert demo.block_storage.get_volume(made.id).metadata == {"mark": "m"}

    def test_time_passes_also_when_nobody_looks(
            self, double: Double, demo: openstack.connection.Connection) -> None:
        double.set(looks={"*": 1000}, seconds=3600.0)
        made = demo.block_storage.create_volume(size=1)
        assert demo.block_storage.get_volume(made.id).status == "creating"
        double.set(seconds=0.0)
        demo.block_storage.create_snapshot(volume_id=made.id)
        assert demo.block_storage.get_volume(made.id).status == "available"

    def test_held_back_until_told(self, double: Double,
                                  demo: openstack.connection.Connection) -> None:
        double.set(held=["cinder.volume"])
        made = demo.block_storage.create_volume(size=1)
        assert {demo.block_storage.get_volume(made.id).status for _ in range(5)} == {"creating"}
        double.set(held=[])
        double.settle()
        assert demo.block_storage.get_volume(made.id).status == "available"

    def test_a_snapshot_keeps_the_bytes_of_its_instant(
            self, double: Double, demo: openstack.connection.Connection) -> None:
        double.set(looks={"*": 0})
        volume = demo.block_storage.create_volume(size=1)
        demo.block_storage.get_volume(volume.id)
        double.write("cinder.volume", volume.id, b"before")
        snapshot = demo.block_storage.create_snapshot(volume_id=volume.id, metadata={"a": "b"})
        double.write("cinder.volume", volume.id, b"after")
        assert double.read("cinder.snapshot", snapshot.id) == b"before"
        assert demo.block_storage.get_snapshot(snapshot.id).status == "available"
        with pytest.raises(sdk.BadRequestException, match="have snapshots"):
            demo.block_storage.delete_volume(volume.id)

    def test_backup_and_restore_bring_the_bytes_back(
            self, double: Double, demo: openstack.connection.Connection) -> None:
        double.set(looks={"*": 0})
        volume = demo.block_storage.create_volume(size=1)
        demo.block_storage.get_volume(volume.id)
        double.write("cinder.volume", volume.id, b"x" * 10000)
        full = demo.block_storage.create_backup(volume_id=volume.id, name="full")
        assert demo.block_storage.get_backup(full.id).status == "available"
        double.write("cinder.volume", volume.id, b"x" * 5000 + b"y" * 5000)
        delta = demo.block_storage.create_backup(volume_id=volume.id, is_incremental=True)
        assert demo.block_storage.get_backup(delta.id).is_incremental
        assert demo.block_storage.get_backup(full.id).has_dependent_backups
        with pytest.raises(sdk.BadRequestException, match="Incremental backups exist"):
            demo.block_storage.delete_backup(full.id)

        target = demo.block_storage.create_volume(size=1)
        demo.block_storage.get_volume(target.id)
        demo.block_storage.restore_backup(delta.id, volume_id=target.id)
        assert demo.block_storage.get_volume(target.id).status == "available"
        assert double.read("cinder.volume", target.id) == b"x" * 5000 + b"y" * 5000

    def test_the_objects_of_a_backup_are_where_cinder_puts_them(
            self, double: Double, demo: openstack.connection.Connection) -> None:
        double.set(looks={"*": -1})
        volume = demo.block_storage.create_volume(size=2)
        double.write("cinder.volume", volume.id, b"z" * 5000)
        backup = demo.block_storage.create_backup(volume_id=volume.id)
        shown = demo.block_storage.get_backup(backup.id)
        names = [one.name for one in demo.object_store.objects(shown.container)
                 if backup.id in one.name]
        kinds = sorted(name.rpartition(backup.id)[2] for name in names)
        assert kinds == ["-00001", "-00002", "_metadata", "_sha256file"]
        text = demo.object_store.download_object(
            next(name for name in names if name.endswith("_metadata")), container=shown.container)
        listed = json.loads(text)["objects"]
        assert [next(iter(one.values()))["length"] for one in listed] == [1 << 30, 1 << 30]
        assert shown.object_count == 2

    def test_a_cloud_without_cinder_backup(self, double: Double,
                                           demo: openstack.connection.Connection) -> None:
        double.set(looks={"*": 0}, backup_service=False)
        volume = demo.block_storage.create_volume(size=1)
        demo.block_storage.get_volume(volume.id)
        backup = demo.block_storage.get_backup(
            demo.block_storage.create_backup(volume_id=volume.id).id)
        assert (backup.status, backup.fail_reason) == (
            "error", "Service not found for creating backup.")
        assert demo.block_storage.get_volume(volume.id).status == "available"

    def test_an_outcome_on_order(self, double: Double,
                                 demo: openstack.connection.Connection) -> None:
        double.set(looks={"*": 0}, outcomes=[
            {"kind": "cinder.volume", "nth": 2, "status": "error", "reason": "no space"}])
        made = [demo.block_storage.create_volume(size=1).id for _ in range(3)]
        assert [demo.block_storage.get_volume(id).status for id in made] == [
            "available", "error", "available"]

    def test_quota(self, double: Double, demo: openstack.connection.Connection) -> None:
        double.set(quotas={"cinder.gigabytes": 0})
        with pytest.raises(sdk.HttpException, match="exceeds allowed gigabytes") as caught:
            demo.block_storage.create_volume(size=1)
        assert caught.value.status_code == 413

    def test_pages(self, double: Double, demo: openstack.connection.Connection) -> None:
        made = {demo.block_storage.create_volume(size=1).id for _ in range(5)}
        double.set(page=2)
        double.forget_log()
        found = {one.id for one in demo.block_storage.volumes()}
        assert made <= found
        lists = [one for one in double.log() if one["signature"].endswith("/volumes/detail")]
        assert len(lists) == -(-len(found) // 2)

    def test_another_project_sees_nothing(self, double: Double,
                                          demo: openstack.connection.Connection) -> None:
        made = demo.block_storage.create_volume(size=1)
        stranger = connect(double, "demo2")
        assert list(stranger.block_storage.volumes()) == []
        with pytest.raises(sdk.NotFoundException):
            stranger.block_storage.get_volume(made.id)
        stranger.close()


class TestImages:
    def test_upload_and_download(self, demo: openstack.connection.Connection) -> None:
        image = demo.image.create_image("i", data=b"12345", disk_format="raw",
                                        container_format="bare", validate_checksum=True,
                                        karbor_mark="m")
        shown = demo.image.get_image(image.id)
        assert (shown.status, shown.size) == ("active", 5)
        assert shown.hash_value == hashlib.sha512(b"12345").hexdigest()
        assert shown.properties["karbor_mark"] == "m"
        assert demo.image.download_image(image.id).content == b"12345"
        demo.image.delete_image(image.id)
        with pytest.raises(sdk.NotFoundException):
            demo.image.get_image(image.id)

    def test_a_shared_image_has_members(self, demo: openstack.connection.Connection) -> None:
        image = demo.image.create_image("i", data=b"1", disk_format="raw", container_format="bare",
                                        visibility="shared")
        assert list(demo.image.members(image)) == []
        demo.image.add_member(image, member="other")
        assert [(one.member_id, one.status) for one in demo.image.members(image)] == [
            ("other", "pending")]
        with pytest.raises(sdk.ConflictException):
            demo.image.add_member(image, member="other")
        demo.image.update_image(image, visibility="private")
        with pytest.raises(sdk.ForbiddenException, match="Only shared images have members"):
            list(demo.image.members(image))

    def test_a_range_and_a_chunked_upload(self, double: Double) -> None:
        one, root = ask(double, service="image")
        made = one.post(f"{root}/v2/images", json={"name": "c", "disk_format": "raw",
                                                   "container_format": "bare"}).json()
        answer = one.put(f"{root}/v2/images/{made['id']}/file", data=iter([b"ab", b"cdef"]),
                         headers={"Content-Type": "application/octet-stream"})
        assert answer.status_code == 204
        part = one.get(f"{root}/v2/images/{made['id']}/file", headers={"Range": "bytes=2-"})
        assert (part.status_code, part.content) == (206, b"cdef")
        listed = one.get(f"{root}/v2/images?limit=1").json()
        assert listed["next"].startswith("/v2/images?")


class TestServers:
    @pytest.fixture
    def network(self, double: Double, demo: openstack.connection.Connection) -> Iterator[Any]:
        double.set(looks={"*": 0})
        network = demo.network.create_network(name="net")
        subnet = demo.network.create_subnet(network_id=network.id, cidr="10.1.0.0/24",
                                            ip_version=4)
        router = demo.network.create_router(external_gateway_info={
            "network_id": demo.network.find_network("public").id})
        demo.network.add_interface_to_router(router, subnet_id=subnet.id)
        yield network
        demo.network.remove_interface_from_router(router, subnet_id=subnet.id)
        demo.network.delete_router(router, ignore_missing=False)
        demo.network.delete_network(network, ignore_missing=False)

    def test_boot_attach_image_delete(self, double: Double, network: Any,
                                      demo: openstack.connection.Connection) -> None:
        image = demo.image.find_image("cirros")
        server = demo.compute.create_server(
            name="s", flavor_id="1", image_id=image.id, networks=[{"uuid": network.id}],
            metadata={"mark": "m"})
        server = demo.compute.get_server(server.id)
        assert server.status == "ACTIVE"
        assert server.addresses["net"][0]["addr"] == "10.1.0.2"
        assert double.read("nova.server", server.id).startswith(b"cirros")

        volume = demo.block_storage.create_volume(size=1)
        demo.block_storage.get_volume(volume.id)
        demo.compute.create_volume_attachment(server, volume_id=volume.id)
        attached = demo.block_storage.get_volume(volume.id)
        assert attached.status == "in-use"
        assert attached.attachments[0]["server_id"] == server.id

        double.write("nova.server", server.id, b"changed")
        snapshot = demo.compute.create_server_image(server, "snap", metadata={"a": "b"})
        shown = demo.image.get_image(snapshot.id)
        assert shown.status == "active"
        assert shown.properties["a"] == "b"
        assert demo.image.download_image(snapshot.id).content == b"changed"

        port = next(demo.network.ports(device_id=server.id))
        public = demo.network.find_network("public")
        floating = demo.network.create_ip(floating_network_id=public.id, port_id=port.id)
        assert floating.status == "ACTIVE"
        with pytest.raises(sdk.ConflictException):
            demo.network.delete_network(network)

        demo.compute.delete_server(server)
        demo.compute.wait_for_delete(server, interval=0.01)
        assert demo.block_storage.get_volume(volume.id).status == "available"
        assert demo.network.get_ip(floating.id).port_id is None
        assert list(demo.network.ports(device_id=server.id)) == []
        demo.network.delete_ip(floating)

    def test_boot_from_volume(self, double: Double, network: Any,
                              demo: openstack.connection.Connection) -> None:
        volume = demo.block_storage.create_volume(
            size=1, image_id=demo.image.find_image("cirros").id)
        assert demo.block_storage.get_volume(volume.id).is_bootable
        server = demo.compute.create_server(
            name="b", flavor_id="1", networks=[{"uuid": network.id}],
            block_device_mapping=[{"boot_index": 0, "uuid": volume.id, "source_type": "volume",
                                   "destination_type": "volume",
                                   "delete_on_termination": True}])
        server = demo.compute.get_server(server.id)
        assert server.status == "ACTIVE"
        assert not server.image
        assert [one.id for one in server.attached_volumes] == [volume.id]
        demo.compute.delete_server(server)
        demo.compute.wait_for_delete(server, interval=0.01)
        assert volume.id not in double.dump().get("cinder.volume", {})

    def test_a_build_that_fails(self, double: Double, network: Any,
                                demo: openstack.connection.Connection) -> None:
        double.set(outcomes=[{"kind": "nova.server", "reason": "No valid host was found."}])
        server = demo.compute.create_server(
            name="f", flavor_id="1", image_id=demo.image.find_image("cirros").id,
            networks=[{"uuid": network.id}])
        server = demo.compute.get_server(server.id)
        assert (server.status, server.fault["message"]) == ("ERROR", "No valid host was found.")
        demo.compute.delete_server(server)
        demo.compute.wait_for_delete(server, interval=0.01)

    def test_quota(self, double: Double, network: Any,
                   demo: openstack.connection.Connection) -> None:
        double.set(quotas={"nova.instances": 0})
        with pytest.raises(sdk.ForbiddenException, match="Quota exceeded for instances"):
            demo.compute.create_server(name="q", flavor_id="1", networks="none",
                                       image_id=demo.image.find_image("cirros").id)


class TestShares:
    def test_a_share_lives_through_a_snapshot_and_what_is_made_of_it(
            self, double: Double, demo: openstack.connection.Connection) -> None:
        double.set(looks={"*": 0})
        manila = demo.shared_file_system
        made = manila.create_share(share_protocol="nfs", size=1, name="files",
                                   metadata={"mark": "m"})
        assert made.status == "creating"
        share = manila.get_share(made.id)
        assert (share.status, share.share_protocol, share.metadata) == (
            "available", "NFS", {"mark": "m"})
        double.write("manila.share", share.id, b"before")
        snapshot = manila.create_share_snapshot(share_id=share.id, name="s")
        double.write("manila.share", share.id, b"after")
        assert manila.get_share_snapshot(snapshot.id).status == "available"
        with pytest.raises(sdk.ForbiddenException, match="dependent snapshots"):
            manila.delete_share(share.id, ignore_missing=False)
        copy = manila.create_share(share_protocol="NFS", size=1, snapshot_id=snapshot.id)
        assert copy.status == "creating_from_snapshot"
        with pytest.raises(sdk.ForbiddenException, match="status must be one of"):
            manila.delete_share(copy.id, ignore_missing=False)
        assert manila.get_share(copy.id).status == "available"
        assert double.read("manila.share", copy.id) == b"before"
        manila.delete_share_snapshot(snapshot.id)
        with pytest.raises(sdk.NotFoundException):
            manila.get_share_snapshot(snapshot.id)
        manila.delete_share(share.id)
        assert {one.id for one in manila.shares()} == {copy.id}
        manila.delete_share(copy.id)
        double.settle()

    def test_rules_are_queued_and_then_active(
            self, double: Double, demo: openstack.connection.Connection) -> None:
        double.set(looks={"*": 1})
        manila = demo.shared_file_system
        share = manila.create_share(share_protocol="NFS", size=1)
        assert [manila.get_share(share.id).status for _ in range(2)] == ["creating", "available"]
        rule = {"access_type": "ip", "access_to": "10.0.0.0/8", "access_level": "ro"}
        assert manila.create_access_rule(share.id, **rule).state == "queued_to_apply"
        seen = [next(iter(manila.access_rules(share))) for _ in range(2)]
        assert [one.state for one in seen] == ["queued_to_apply", "active"]
        with pytest.raises(sdk.BadRequestException, match="exists"):
            manila.create_access_rule(share.id, **rule)

    def test_metadata_of_snapshots_need_the_microversion_that_has_them(
            self, double: Double) -> None:
        double.set(looks={"*": 0})
        one, url = ask(double, service="shared-file-system")

        def send(method: str, path: str, minor: int, body: Any = None) -> Any:
            return one.request(f"{url}{path}", method, json=body, headers={
                "X-OpenStack-Manila-API-Version": f"2.{minor}"}).json()
        share = send("POST", "/shares", 65, {"share": {"share_proto": "NFS", "size": 1}})["share"]
        send("GET", f"/shares/{share['id']}", 65)
        body = {"snapshot": {"share_id": share["id"], "metadata": {"mark": "m"}}}
        for minor, kept in ((73, {"mark": "m"}), (72, {})):
            made = send("POST", "/snapshots", minor, body)["snapshot"]
            seen = send("GET", f"/snapshots/{made['id']}", 73)["snapshot"]
            assert seen["metadata"] == kept
            assert "metadata" not in send("GET", f"/snapshots/{made['id']}", 72)["snapshot"]


class TestNetworks:
    def test_rules_tags_and_what_policy_refuses(self, demo: openstack.connection.Connection
                                                ) -> None:
        group = demo.network.create_security_group(name="web")
        assert len(demo.network.get_security_group(group.id).security_group_rules) == 2
        rule = {"security_group_id": group.id, "direction": "ingress", "protocol": "tcp",
                "port_range_min": 80, "port_range_max": 80}
        demo.network.create_security_group_rule(**rule)
        with pytest.raises(sdk.ConflictException, match="already exists"):
            demo.network.create_security_group_rule(**rule)
        demo.network.set_tags(group, ["a", "b"])
        assert [one.id for one in demo.network.security_groups(tags="a,b")] == [group.id]
        demo.network.delete_security_group(group)

        public = demo.network.find_network("public")
        with pytest.raises(sdk.ForbiddenException):
            demo.network.create_ip(floating_network_id=public.id,
                                   floating_ip_address="203.0.113.77")

    def test_addresses_are_given_once(self, demo: openstack.connection.Connection) -> None:
        network = demo.network.create_network(name="n2")
        subnet = demo.network.create_subnet(network_id=network.id, cidr="10.2.0.0/24",
                                            ip_version=4)
        wanted = {"network_id": network.id, "fixed_ips": [
            {"subnet_id": subnet.id, "ip_address": "10.2.0.9"}], "mac_address": "02:00:00:00:00:01"}
        port = demo.network.create_port(**wanted)
        with pytest.raises(sdk.ConflictException):
            demo.network.create_port(**wanted)
        with pytest.raises(sdk.ConflictException):
            demo.network.delete_subnet(subnet)
        demo.network.delete_port(port)
        demo.network.delete_network(network)


class TestTokens:
    def test_an_expired_token_needs_a_service_token(self, double: Double) -> None:
        user = password(double, "demo")
        one, root = ask(double)
        header = {"X-Auth-Token": str(user.get_token(one))}
        double.advance(3601)
        assert requests.get(f"{root}/volumes", headers=header, timeout=9).status_code == 401
        vouching = {"X-Service-Token": str(password(double, "karbor").get_token(one))}
        unfit = {"X-Service-Token": str(password(double, "noservice").get_token(one))}
        assert requests.get(f"{root}/volumes", headers=header | vouching,
                            timeout=9).status_code == 200
        assert requests.get(f"{root}/volumes", headers=header | unfit, timeout=9).status_code == 401
        double.advance(172800)
        vouching = {"X-Service-Token": str(password(double, "karbor").get_token(one))}
        assert requests.get(f"{root}/volumes", headers=header | vouching,
                            timeout=9).status_code == 401

    def test_validation_of_an_expired_token(self, double: Double) -> None:
        one, _ = ask(double, "karbor")
        token = str(password(double, "demo").get_token(one))
        double.advance(3601)
        asked = f"{double.auth_url}/auth/tokens"
        fresh = session.Session(auth=password(double, "karbor"))
        with pytest.raises(exceptions.NotFound):
            fresh.get(asked, headers={"X-Subject-Token": token})
        body = fresh.get(f"{asked}?allow_expired=1", headers={"X-Subject-Token": token}).json()
        assert body["token"]["project"]["name"] == "demo"
        assert {one["type"] for one in body["token"]["catalog"]} >= {"volumev3", "object-store"}

    def test_the_wrapper_of_keystoneauth(self, double: Double) -> None:
        wrapped = session.Session(auth=service_token.ServiceTokenAuthWrapper(
            user_auth=password(double, "demo"), service_auth=password(double, "karbor")))
        root = wrapped.get_endpoint(service_type="volumev3")
        assert wrapped.get(f"{root}/volumes").status_code == 200

    def test_a_client_logs_in_again_when_its_token_dies(self, double: Double) -> None:
        one, root = ask(double)
        one.get(f"{root}/volumes")
        double.fault("expire", path="/volumes")
        assert one.get(f"{root}/volumes").status_code == 200
        assert [entry["status"] for entry in double.log()][-3:] == [401, 201, 200]

    def test_a_wrong_password(self, double: Double) -> None:
        wrong = v3.Password(double.auth_url, username="demo", password="guess",
                            project_name="demo", user_domain_id="default",
                            project_domain_id="default")
        with pytest.raises(exceptions.Unauthorized):
            session.Session(auth=wrong).get_token()


class TestTrusts:
    """A user grants one to the account that logs in by it."""

    @pytest.fixture
    def trust(self, double: Double) -> dict[str, Any]:
        return grant(double, an_end())

    def test_a_login_by_it_speaks_for_whoever_granted_it(
            self, double: Double, trust: dict[str, Any]) -> None:
        one = session.Session(auth=by_trust(double, trust["id"]))
        access = one.auth.get_access(one)
        assert access.username == "demo"
        assert access.trust_scoped
        assert access.trust_id == trust["id"]
        assert (access.trustor_user_id, access.trustee_user_id) == (
            trust["trustor_user_id"], trust["trustee_user_id"])
        assert access.project_name == "demo"
        assert access.role_names == ["member", "reader"]
        assert access._data["token"]["OS-TRUST:trust"]["impersonation"] is True
        root = one.get_endpoint(service_type="volumev3")
        made = one.post(f"{root}/volumes", json={"volume": {"size": 1}}).json()["volume"]["id"]
        mine, own = ask(double)
        assert mine.get(f"{own}/volumes/{made}").status_code == 200
        validated = session.Session(auth=password(double, "karbor")).get(
            f"{double.auth_url}/auth/tokens", headers={"X-Subject-Token": one.get_token()}).json()
        assert validated["token"]["OS-TRUST:trust"]["id"] == trust["id"]

    def test_its_end_is_a_whole_second_and_its_mark(self, double: Double, trust: dict[str, Any]
                                                    ) -> None:
        assert trust["expires_at"].endswith(".000000Z")
        karbor = session.Session(auth=password(double, "karbor"))
        mine = karbor.auth.get_user_id(karbor)
        listed = karbor.get(f"{double.auth_url}/OS-TRUST/trusts?trustee_user_id={mine}").json()
        assert trust["id"] in [one["id"] for one in listed["trusts"]
                               if one["expires_at"] == trust["expires_at"]]
        assert "roles" not in listed["trusts"][0]
        with pytest.raises(exceptions.Conflict):
            grant(double, trust["expires_at"])

    def test_only_those_it_concerns_see_it(self, double: Double, trust: dict[str, Any]) -> None:
        address = f"{double.auth_url}/OS-TRUST/trusts"
        stranger = session.Session(auth=password(double, "demo2"))
        for query in (f"/{trust['id']}", "", f"?trustor_user_id={trust['trustor_user_id']}"):
            with pytest.raises(exceptions.Forbidden):
                stranger.get(address + query)
        demo, karbor = (session.Session(auth=password(double, one)) for one in ("demo", "karbor"))
        for one in (demo, karbor):
            shown = one.get(f"{address}/{trust['id']}").json()["trust"]
            assert [role["name"] for role in shown["roles"]] == ["member"]
        listed = demo.get(f"{address}?trustor_user_id={trust['trustor_user_id']}").json()["trusts"]
        assert trust["id"] in [one["id"] for one in listed]
        with pytest.raises(exceptions.Forbidden):
            karbor.delete(f"{address}/{trust['id']}")
        with pytest.raises(exceptions.NotFound, match="Could not find trust"):
            karbor.get(f"{address}/{'0' * 32}")

    def test_what_cannot_be_granted(self, double: Double, trust: dict[str, Any]) -> None:
        with pytest.raises(exceptions.NotFound, match="role"):
            grant(double, an_end(), roles=["admin"])
        with pytest.raises(exceptions.Forbidden):
            grant(double, an_end(), roles=[])
        with pytest.raises(exceptions.Forbidden):
            grant(double, an_end(), auth=by_trust(double, trust["id"]),
                  trustor=trust["trustor_user_id"])
        with pytest.raises(exceptions.Forbidden):
            grant(double, an_end(), trustor=trust["trustee_user_id"])
        with pytest.raises(exceptions.BadRequest, match="before now"):
            grant(double, "2020-01-01T00:00:00.000000Z")

    def test_with_it_go_its_tokens(self, double: Double, trust: dict[str, Any]) -> None:
        by = by_trust(double, trust["id"])
        one = session.Session(auth=by)
        header = {"X-Auth-Token": str(one.get_token())}
        one.delete(f"{double.auth_url}/OS-TRUST/trusts/{trust['id']}")      # by its own rights
        root = ask(double)[1]
        assert requests.get(f"{root}/volumes", headers=header, timeout=9).status_code == 401
        with pytest.raises(exceptions.Unauthorized, match="requires authentication"):
            session.Session(auth=by_trust(double, trust["id"])).get_token()
        karbor = session.Session(auth=password(double, "karbor"))
        with pytest.raises(exceptions.NotFound):
            karbor.get(f"{double.auth_url}/auth/tokens?allow_expired=1",
                       headers={"X-Subject-Token": header["X-Auth-Token"]})

    @pytest.mark.parametrize("members", [{"enabled": False}, {"roles": ["reader"]}])
    def test_what_it_stands_on_is_taken_away(self, double: Double, trust: dict[str, Any],
                                             members: dict[str, Any]) -> None:
        """Keystone forbids, without a reason; services make a 503 of that."""
        token = str(session.Session(auth=by_trust(double, trust["id"])).get_token())
        root = ask(double)[1]
        karbor = session.Session(auth=password(double, "karbor"))
        user = trust["trustor_user_id"]
        before = double.dump()["keystone.user"][user]
        double.edit("keystone.user", user, **members)
        try:
            with pytest.raises(exceptions.Forbidden, match=r"requested action\.( \(|$)"):
                session.Session(auth=by_trust(double, trust["id"])).get_token()
            with pytest.raises(exceptions.Forbidden):
                karbor.get(f"{double.auth_url}/auth/tokens", headers={"X-Subject-Token": token})
            answer = requests.get(f"{root}/volumes", headers={"X-Auth-Token": token}, timeout=9)
            assert answer.status_code == 503
        finally:
            double.edit("keystone.user", user, **{name: before[name] for name in members})
        session.Session(auth=by_trust(double, trust["id"])).get_token()

    def test_not_beyond_its_end(self, double: Double) -> None:
        short = grant(double, (datetime.now(UTC) + timedelta(days=900)).isoformat()[:19])
        double.advance(901 * 86400)
        try:
            with pytest.raises(exceptions.Unauthorized):
                session.Session(auth=by_trust(double, short["id"])).get_token()
        finally:
            double.advance(-901 * 86400)


HOURS = itertools.count(400)


def an_end() -> str:
    """Of no other trust here: no two of the same people end in the same second."""
    return (datetime.now(UTC) + timedelta(hours=next(HOURS))).strftime("%Y-%m-%dT%H:%M:%S.123456Z")


def by_trust(double: Double, trust_id: str) -> v3.Password:
    account = double.cloud("karbor")["auth"]
    return v3.Password(double.auth_url, username="karbor", password=account["password"],
                       user_domain_id="default", trust_id=trust_id)


def grant(double: Double, end: str, *, auth: Any = None, trustor: str = "",
          roles: list[str] | None = None) -> dict[str, Any]:
    """The user `demo` grants the account `karbor` a trust."""
    demo = session.Session(auth=auth or password(double, "demo"))
    karbor = session.Session(auth=password(double, "karbor"))
    access = demo.auth.get_access(demo)
    made: dict[str, Any] = demo.post(f"{double.auth_url}/OS-TRUST/trusts", json={"trust": {
        "trustor_user_id": trustor or access.user_id,
        "trustee_user_id": karbor.auth.get_user_id(karbor), "project_id": access.project_id,
        "impersonation": True, "allow_redelegation": False, "expires_at": end,
        "roles": [{"name": one} for one in (["member"] if roles is None else roles)]}}
        ).json()["trust"]
    return made


CLIENT = textwrap.dedent("""
    import sys, urllib.request
    sys.stdin.readline()
    for number in range(5):
        request = urllib.request.Request(sys.argv[1] + "/v3/volumes", method="POST",
            data=b'{"volume": {"size": 1, "name": "%d"}}' % number,
            headers={"X-Auth-Token": sys.argv[2], "Content-Type": "application/json"})
        urllib.request.urlopen(request).read()
        print(number, flush=True)
""")


class TestFaults:
    @pytest.mark.parametrize(("side", "made"), [("kill-before", 2), ("kill-after", 3)])
    def test_the_client_is_killed_at_the_third_call(self, double: Double, side: str, made: int
                                                    ) -> None:
        one, root = ask(double)
        before = len(double.dump().get("cinder.volume", {}))
        child = subprocess.Popen(
            [sys.executable, "-c", CLIENT, root.removesuffix("/v3"), str(one.get_token())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        double.fault(side, pid=child.pid, nth=3, mutating=True)
        out, _ = child.communicate(b"go\n", timeout=30)
        assert child.returncode == -signal.SIGKILL
        assert out == b"0\n1\n"
        assert len(double.dump()["cinder.volume"]) == before + made

    def test_answers_that_never_come(self, double: Double) -> None:
        one, root = ask(double)
        double.fault("close-before", path="/volumes", method="POST")
        double.fault("close-after", path="/volumes", method="POST", nth=2)
        for name in ("lost", "kept"):
            with pytest.raises(exceptions.ConnectFailure):
                one.post(f"{root}/volumes", json={"volume": {"size": 1, "name": name}})
        names = [record["name"] for record in double.dump()["cinder.volume"].values()]
        assert ("lost" in names, "kept" in names) == (False, True)

    def test_a_refusal_a_delay_and_half_an_answer(self, double: Double) -> None:
        one, root = ask(double)
        double.fault("answer", path="/limits", status=503, times=2)
        for expected in (503, 503, 200):
            assert one.get(f"{root}/limits", raise_exc=False,
                           connect_retries=0).status_code == expected
        double.fault("truncate", path="/limits")
        with pytest.raises(exceptions.UnknownConnectionError, match="IncompleteRead"):
            one.get(f"{root}/limits")
        double.fault("delay", path="/limits", seconds=2.0)
        with pytest.raises(exceptions.ConnectTimeout):
            one.get(f"{root}/limits", timeout=0.2)
        assert [one["fired"] for one in double.faults()] == [2, 1, 1]

    def test_a_fault_nobody_knows(self, double: Double) -> None:
        with pytest.raises(RuntimeError, match="no fault is called"):
            double.fault("explode")

    def test_the_ledger_remembers_what_is_gone(self, double: Double) -> None:
        one, root = ask(double)
        made = one.post(f"{root}/volumes", json={"volume": {"size": 1, "metadata": {"k": "v"}}}
                        ).json()["volume"]["id"]
        double.settle()
        one.delete(f"{root}/volumes/{made}")
        double.settle()
        mine = [entry for entry in double.ledger() if entry["id"] == made]
        assert [entry["event"] for entry in mine] == ["created", "removed"]
        assert mine[0]["record"]["metadata"] == {"k": "v"}


def test_it_ends_with_its_test() -> None:
    with Double() as one:
        answer = requests.get(f"{one.url}/identity/v3", timeout=9)
        pid = one._process.pid if one._process else 0
        assert answer.json()["version"]["id"] == "v3.14"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_ends_with_whoever_started_it() -> None:
    script = ("import os, signal; from karbor_testing.openstack import Double\n"
              "one = Double().__enter__(); print(one._process.pid, flush=True)\n"
              "os.kill(os.getpid(), signal.SIGKILL)")
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60,
                           check=False)
    pid = int(ended.stdout)
    watched = os.pidfd_open(pid) if _alive(pid) else None
    if watched is not None:
        ready, _, _ = select.select([watched], [], [], 30)
        os.close(watched)
        assert ready
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}
