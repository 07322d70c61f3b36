"""Credentials and clients against real services, with tokens of the usual length."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cinderclient.client import Client

from karbor.clients import services
from karbor.clients.cloud import OpenStackCloud
from karbor.credentials.user_auth import rebuild
from karbor.domain.credential_chain import CredentialKind
from karbor.domain.errors import (
    CloudBadRequest,
    CloudError,
    CloudForbidden,
    CloudNotFound,
    KeystoneUnreachable,
    LoginFailed,
    ServiceUserUnfit,
    TokenRejected,
    UnknownName,
)
from tests.cloud.conftest import Cloud
from tests.cloud.speaking import Speaking, speaking

LISTS = {"cinder": ("/volumes/detail", "volumes"), "nova": ("/servers/detail", "servers"),
         "glance": ("/images", "images"), "neutron": ("/networks", "networks"),
         "swift": ("", ""), "manila": ("/shares/detail", "shares"),
         "barbican": ("/secrets", "secrets")}


@pytest.fixture
def speak(cloud: Cloud, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Speaking:
    return speaking(cloud, tmp_path, monkeypatch)


@pytest.fixture
def vouched(speak: Speaking) -> Iterator[OpenStackCloud]:
    with speak("karbor").log_in("demo") as opened:
        yield opened


@pytest.mark.parametrize("service_user", ["", "karbor"], ids=["own login", "user and service"])
def test_every_service_answers(speak: Speaking, service_user: str) -> None:
    with speak(service_user).log_in("demo") as opened:
        for name, (path, key) in LISTS.items():
            assert opened.has(name)
            assert isinstance(opened.api(name).list(path, key), list)
        assert {name for name, _ in opened.requests} - {"keystone"} == set(LISTS)


def test_sdk_and_native_clients_speak_on_the_same_session(vouched: OpenStackCloud) -> None:
    assert isinstance(list(vouched.client("cinder").volumes()), list)
    assert isinstance(list(vouched.client("nova").servers()), list)
    assert isinstance(list(vouched.client("glance").images()), list)
    assert isinstance(list(vouched.client("neutron").networks()), list)
    assert isinstance(list(vouched.client("swift").containers()), list)
    assert isinstance(list(vouched.client("manila").shares()), list)
    assert isinstance(list(vouched.client("barbican").secrets()), list)
    native = Client("3", session=vouched.factory.session,
                    endpoint_override=vouched.factory.endpoint("cinder"))
    names = {one.id for one in native.volumes.list()}
    assert names == {one["id"] for one in vouched.api("cinder").list("/volumes", "volumes")}


def test_another_process_goes_on_from_what_an_operation_keeps(speak: Speaking) -> None:
    with speak("karbor").log_in("demo") as first:
        assert first.credential.kind is CredentialKind.USER_AND_SERVICE
        kept = json.loads(json.dumps(first.credential.to_dict()))
    with speak("karbor").resume(kept) as again:
        assert again.caller == first.caller
        again.api("cinder").list("/volumes", "volumes")


def test_a_cloud_older_than_karbor_expects_is_met_halfway(
        speak: Speaking, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, future in (("cinder", "3.999"), ("nova", "2.999"), ("manila", "2.999")):
        monkeypatch.setitem(services.KNOWN, name, dataclasses.replace(
            services.KNOWN[name], microversion=future))
    with speak().log_in("demo") as opened:
        for name in ("cinder", "nova", "manila"):
            path, key = LISTS[name]
            opened.api(name).list(path, key)
            opened.api(name).list(path, key)
            assert opened.requests[name, "GET"] == 4    # refused, asked, listed; listed
            with pytest.raises(CloudError):
                opened.api(name).list(path, key, version="3.999" if name == "cinder" else "2.999")


def test_errors_name_the_request_and_its_id(vouched: OpenStackCloud) -> None:
    nothing = str(uuid.uuid4())
    for name, path in (("cinder", f"/volumes/{nothing}"), ("nova", f"/servers/{nothing}"),
                       ("glance", f"/images/{nothing}"), ("neutron", f"/networks/{nothing}"),
                       ("swift", f"/{nothing}"), ("manila", f"/shares/{nothing}")):
        with pytest.raises(CloudNotFound) as caught:
            vouched.api(name).get(path)
        assert caught.value.request == f"GET {path}"
        assert caught.value.request_id
        vouched.api(name).delete(path)      # what is gone counts as deleted
    with pytest.raises(CloudBadRequest):
        vouched.api("cinder").post("/volumes", {"volume": {"size": "large"}})
    with pytest.raises(CloudForbidden):
        vouched.api("cinder").get("/os-services")


def test_pages_are_followed_to_the_end(vouched: OpenStackCloud) -> None:
    api = vouched.api("swift")
    box = f"/karbor-test-{uuid.uuid4().hex}"
    api.put(box)
    try:
        for name in "abcde":
            api.upload(f"{box}/{name}", iter([b"x"]), size=1)
        found = api.list(box, "", params={"limit": 2})
        assert [one["name"] for one in found] == list("abcde")
    finally:
        for name in "abcde":
            api.delete(f"{box}/{name}")
        api.delete(box)


def test_an_image_goes_up_and_comes_down_whole(vouched: OpenStackCloud) -> None:
    api = vouched.api("glance")
    content = hashlib.sha256(b"karbor").digest() * 100_000     # 3.2 MB, no round number of pieces
    image = api.post("/images", {"name": f"karbor-test-{uuid.uuid4().hex}",
                                 "disk_format": "raw", "container_format": "bare"})
    path = f"/images/{image['id']}/file"
    try:
        api.upload(path, (content[n:n + 777_777] for n in range(0, len(content), 777_777)),
                   size=len(content))
        seen = vouched.look("glance.image", image["id"])
        assert seen is not None
        assert (seen["status"], seen["size"]) == ("active", len(content))
        assert b"".join(api.download(path)) == content
        assert b"".join(api.download(path, offset=1_234_567)) == content[1_234_567:]
    finally:
        api.delete(f"/images/{image['id']}")
    assert vouched.look("glance.image", image["id"]) is None


def test_an_image_whose_stream_ended_early_never_becomes_active(vouched: OpenStackCloud) -> None:
    api = vouched.api("glance")
    image = api.post("/images", {"name": f"karbor-test-{uuid.uuid4().hex}",
                                 "disk_format": "raw", "container_format": "bare"})
    try:
        with pytest.raises(CloudError, match="shorter than"):
            api.upload(f"/images/{image['id']}/file", iter([b"x" * 100_000]), size=100_001)
        assert api.get(f"/images/{image['id']}")["status"] != "active"
    finally:
        api.delete(f"/images/{image['id']}")


def test_a_volume_is_waited_for_by_its_list(vouched: OpenStackCloud) -> None:
    api = vouched.api("cinder")
    volume = api.post("/volumes", {"volume": {
        "size": 1, "name": f"karbor-test-{uuid.uuid4().hex}"}})["volume"]["id"]
    try:
        until(vouched, lambda: (vouched.look("cinder.volume", volume) or {}).get("status")
              == "available")
    finally:
        api.delete(f"/volumes/{volume}")
    until(vouched, lambda: vouched.look("cinder.volume", volume) is None)


def until(opened: OpenStackCloud, done: Callable[[], bool], patience: float = 120.0) -> None:
    end = time.monotonic() + patience
    while not done():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(opened.interval("cinder.volume"))


# -- what cannot work is one line, before anything is touched --------------------------------------


def test_bad_logins_are_told(speak: Speaking, cloud: Cloud, tmp_path: pathlib.Path,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="no cloud is called mine"):
        speak().log_in("mine")
    text = cloud.clouds_yaml.read_text()
    wrong = tmp_path / "wrong.yaml"
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(wrong))
    wrong.write_text(text.replace('"devcloud"', '"mistyped"'))
    with pytest.raises(LoginFailed, match="refused the login of cloud demo"):
        speak().log_in("demo")
    wrong.write_text(text.replace('project_name: "demo"', 'project_name: "nonesuch"'))
    with pytest.raises(LoginFailed, match="refused the login of cloud demo"):
        speak().log_in("demo")
    wrong.write_text(text.replace(":5000", ":1"))
    with pytest.raises(KeystoneUnreachable, match="nobody answers"):
        speak().log_in("demo")


def test_unfit_service_accounts_are_told(speak: Speaking) -> None:
    with pytest.raises(ServiceUserUnfit, match="lacks the role service"):
        speak("noservice").log_in("demo")
    with pytest.raises(ServiceUserUnfit, match="refused the login"):
        speak("karbor", password="mistyped").log_in("demo")


# -- why a token is over: Keystone's own words, told apart -----------------------------------------


@dataclasses.dataclass
class Somebody:
    """A user of a project of their own, for changes that nobody else may feel."""

    identity: Any
    user: Any
    project: Any
    token: str

    def lose_role(self) -> None:
        role = self.identity.find_role("member")
        self.identity.unassign_project_role_from_user(self.project, self.user, role)

    def lose_project(self) -> None:
        self.identity.update_project(self.project, is_enabled=False)

    def change_password(self) -> None:
        self.identity.update_user(self.user, password="another")


@pytest.fixture
def somebody(cloud: Cloud) -> Iterator[Somebody]:
    name = f"karbor-test-{uuid.uuid4().hex}"
    with cloud.connection("admin") as admin:
        identity: Any = admin.identity
        project = identity.create_project(name=name, domain_id="default")
        user = identity.create_user(name=name, password="devcloud", domain_id="default",
                                    default_project_id=project.id)
        try:
            identity.assign_project_role_to_user(project, user, identity.find_role("member"))
            login = admin.session.post(
                f"{cloud.auth_url}/auth/tokens", authenticated=False, json={"auth": {
                    "identity": {"methods": ["password"], "password": {"user": {
                        "id": user.id, "password": "devcloud"}}},
                    "scope": {"project": {"id": project.id}}}})
            yield Somebody(identity, user, project, login.headers["X-Subject-Token"])
        finally:
            identity.delete_user(user)
            identity.delete_project(project)


@pytest.mark.parametrize(("happens", "said"), [
    (Somebody.lose_role, "no role"), (Somebody.lose_project, "disabled"),
    (Somebody.change_password, "revoked"),
])
def test_a_token_that_became_void_is_told_with_its_cause(
        speak: Speaking, somebody: Somebody, happens: Callable[[Somebody], None],
        said: str) -> None:
    service = speak("karbor").authority.service()
    access = rebuild(somebody.token, service).get_access(None)
    assert access.project_id == somebody.project.id
    happens(somebody)
    with pytest.raises(TokenRejected, match=said) as caught:
        rebuild(somebody.token, service)
    assert somebody.token not in str(caught.value)


def test_a_token_that_is_none_is_told(speak: Speaking) -> None:
    with pytest.raises(TokenRejected, match="never was one"):
        rebuild("gAAAAAB-nonsense", speak("karbor").authority.service())


def test_an_account_that_may_not_validate_is_told(speak: Speaking, somebody: Somebody) -> None:
    member = speak("noservice", "[credentials]\nservice_role = member\n").authority.service()
    with pytest.raises(ServiceUserUnfit, match="may not look at users' tokens"):
        rebuild(somebody.token, member)
