"""Keystone's application credentials: what a user makes to log in with, without the password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.keystone_trusts import FORBIDDEN, effective, role_id
from karbor_testing.openstack.service import Part, route

KIND = "keystone.application_credential"
METHOD = "application_credential"


class ApplicationCredentials(Part):
    """All are restricted: a login with one can make no other, and no trust."""

    @route("POST", "/v3/users/{user}/application_credentials")
    def make(self, request: Request, user: str) -> Answer:
        wanted = request.member("application_credential")
        need(user == request.user_id and METHOD not in request.token["methods"]
             and not request.token["trust_id"], 403,
             f"{FORBIDDEN}: identity:create_application_credential.")
        names = {role_id(one): one for one in effective(request.token["roles"])}
        roles = []
        for role in wanted.get("roles") or ({"id": id} for id in names):
            id = role.get("id") or role_id(role["name"])
            need(id in names, 400, f"Invalid application credential: Could not find role "
                                   f"assignment with role: {id}.")
            roles.append(names[id])
        made = {"id": self.cloud.new_hex(), "name": wanted["name"], "user_id": user,
                "project_id": request.project_id, "roles": roles, "unrestricted": False,
                "description": wanted.get("description", ""),
                "expires_at": wanted.get("expires_at"),
                "_secret": str(wanted.get("secret") or self.cloud.new_hex())}
        self.cloud.add(KIND, made, request.project_id)
        shown = {**self._shown(made), "secret": made["_secret"]}
        return Answer(201, {"application_credential": shown})

    @route("GET", "/v3/users/{user}/application_credentials")
    def find(self, request: Request, user: str) -> Answer:
        self._must_be(request, user)
        return Answer(200, {"application_credentials": [
            self._shown(one) for one in self.cloud.kinds[KIND].values()
            if one["user_id"] == user and request.one("name", one["name"]) == one["name"]],
            "links": {"next": None, "previous": None}})

    @route("GET", "/v3/users/{user}/application_credentials/{id}")
    def show(self, request: Request, user: str, id: str) -> Answer:
        self._must_be(request, user)
        return Answer(200, {"application_credential": self._shown(self.standing(id))})

    @route("DELETE", "/v3/users/{user}/application_credentials/{id}")
    def delete(self, request: Request, user: str, id: str) -> Answer:
        self._must_be(request, user)
        need(METHOD not in request.token["methods"], 403,
             f"{FORBIDDEN}: identity:delete_application_credential.")
        self.standing(id)
        self.cloud.remove(KIND, id)
        return Answer(204)

    def login(self, given: Mapping[str, Any]) -> Record:
        """The application credential that somebody logs in with. Refusal(404) when there is none of
        this id, as Keystone says it; Refusal(401) for another secret."""
        found = self.standing(str(given.get("id")))
        need(given.get("secret") == found["_secret"], 401,
             "The request you have made requires authentication.")
        return found

    def standing(self, id: str) -> Record:
        found: Record | None = self.cloud.kinds[KIND].get(id)
        if found is None:
            raise Refusal(404, f"Could not find Application Credential: {id}.")
        return found

    def _must_be(self, request: Request, user: str) -> None:
        need(request.admin or user == request.user_id, 403,
             f"{FORBIDDEN}: identity:get_application_credential.")

    def _shown(self, one: Record) -> dict[str, Any]:
        shown = {name: value for name, value in one.items() if not name.startswith("_")}
        return {**shown, "roles": [{"id": role_id(role), "name": role} for role in one["roles"]]}
