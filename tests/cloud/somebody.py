"""A user of a project of their own, to whom things can happen that nobody else may feel."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import uuid
from collections.abc import Iterator
from typing import Any

import keystoneauth1.loading
import keystoneauth1.session
import openstack.connection
import yaml

from tests.cloud.conftest import Cloud

PASSWORD = "devcloud"
PATIENCE = 30.0


@dataclasses.dataclass
class Somebody:
    """`identity` is an administrator's; `session` too."""

    cloud: Cloud
    identity: Any
    user: Any
    project: Any

    def lose_role(self) -> None:
        self.identity.unassign_project_role_from_user(self.project, self.user, self._member)

    def get_role_back(self) -> None:
        self.identity.assign_project_role_to_user(self.project, self.user, self._member)

    def be_disabled(self) -> None:
        self.identity.update_user(self.user, is_enabled=False)

    def be_enabled(self) -> None:
        self.identity.update_user(self.user, is_enabled=True)

    def lose_project(self) -> None:
        self.identity.update_project(self.project, is_enabled=False)

    def get_project_back(self) -> None:
        self.identity.update_project(self.project, is_enabled=True)

    def change_password(self) -> None:
        self.identity.update_user(self.user, password="another")

    @property
    def _member(self) -> Any:
        return self.identity.find_role("member")

    def revoke_trusts(self, trustee: str) -> None:
        """As the user would: whoever made a trust may remove it."""
        for one in self.trusts(trustee):
            self._own().delete(f"{self.cloud.auth_url}/OS-TRUST/trusts/{one['id']}")

    def trusts(self, trustee: str) -> list[Any]:
        with self.cloud.connection(trustee) as connection:
            url = f"{self.cloud.auth_url}/OS-TRUST/trusts?trustee_user_id="
            found = connection.session.get(url + connection.current_user_id).json()["trusts"]
        return [one for one in found if one["trustor_user_id"] == self.user.id]

    def application_credentials(self) -> list[Any]:
        url = f"{self.cloud.auth_url}/users/{self.user.id}/application_credentials"
        return list(self._own().get(url).json()["application_credentials"])

    def make_application_credential(self, **more: Any) -> Any:
        url = f"{self.cloud.auth_url}/users/{self.user.id}/application_credentials"
        body = {"name": uuid.uuid4().hex, **more}
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._own().post(url, json={"application_credential": body}, raise_exc=False)
            if answer.status_code == 201:
                return answer.json()["application_credential"]
            # While others are being made, Keystone's cache may not know a new role yet.
            assert "role assignment" in answer.text, answer.text
            assert time.monotonic() < end
            time.sleep(0.5)

    def revoke_application_credentials(self) -> None:
        url = f"{self.cloud.auth_url}/users/{self.user.id}/application_credentials"
        for one in self.application_credentials():
            self._own().delete(f"{url}/{one['id']}")

    @contextlib.contextmanager
    def connection(self) -> Iterator[Any]:
        """The SDK as this user."""
        session = self._own()
        connection = openstack.connection.Connection(session=session, region_name="RegionOne")
        try:
            yield connection
        finally:
            connection.close()
            session.session.close()

    def _own(self) -> Any:
        return keystoneauth1.session.Session(
            auth=keystoneauth1.loading.get_plugin_loader("password").load_from_options(
                **self.entry()["auth"]))

    def entry(self) -> dict[str, Any]:
        """A clouds.yaml entry that logs in with the password."""
        found: dict[str, Any] = yaml.safe_load(self.cloud.clouds_yaml.read_text())["clouds"]["demo"]
        found["auth"] |= {"username": self.user.name, "project_name": self.project.name,
                          "password": PASSWORD}
        return found

    def entry_of(self, application_credential: Any) -> dict[str, Any]:
        """A clouds.yaml entry that logs in with it."""
        return {"region_name": "RegionOne", "auth_type": "v3applicationcredential", "auth": {
            "auth_url": self.cloud.auth_url,
            "application_credential_id": application_credential["id"],
            "application_credential_secret": application_credential["secret"]}}


@contextlib.contextmanager
def new_somebody(cloud: Cloud) -> Iterator[Somebody]:
    name = f"karbor-test-{uuid.uuid4().hex[:12]}"
    with cloud.connection("admin") as admin:
        identity: Any = admin.identity
        project = identity.create_project(name=name, domain_id="default")
        user = identity.create_user(name=name, password=PASSWORD, domain_id="default",
                                    default_project_id=project.id)
        try:
            identity.assign_project_role_to_user(project, user, identity.find_role("member"))
            yield Somebody(cloud, identity, user, project)
        finally:
            identity.delete_user(user)
            identity.delete_project(project)
