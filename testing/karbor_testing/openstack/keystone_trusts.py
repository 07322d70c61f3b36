"""Keystone's trusts: made by one user for another, who may log in as the first one by them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.service import Part, route

SHAPE = "%Y-%m-%dT%H:%M:%S.%fZ"
IMPLIED = {"admin": ("manager", "member", "reader"), "manager": ("member", "reader"),
           "member": ("reader",)}
FORBIDDEN = "You are not authorized to perform the requested action"
ALIKE = ("trustor_user_id", "trustee_user_id", "project_id", "impersonation", "expires_at")
"""No two trusts may be alike in all of these, not even one that was made after the other was
removed: Keystone keeps the rows of removed ones."""


def role_id(name: str) -> str:
    return name.encode().hex().ljust(32, "0")[:32]


class Trusts(Part):
    @route("POST", "/v3/OS-TRUST/trusts")
    def make(self, request: Request) -> Answer:
        wanted = request.member("trust")
        need(request.user_id == wanted.get("trustor_user_id"), 403,
             f"{FORBIDDEN}: identity:create_trust.")
        # A trust that may not be passed on: none of the double may.
        need(not request.token["trust_id"], 403, f"{FORBIDDEN}.")
        need(wanted.get("roles") or not wanted.get("project_id"), 403,
             f"{FORBIDDEN}: At least one role should be specified.")
        users = self.cloud.kinds["keystone.user"]
        trustee = str(wanted.get("trustee_user_id"))
        need(trustee in users, 404, f"Could not find user: {trustee}.")
        trustor = users[request.user_id]
        mine = effective(trustor["roles"] if wanted.get("project_id") == trustor["_project"]
                         else ())
        names = {role_id(one): one for one in mine}
        roles = []
        for role in wanted.get("roles") or ():
            id = role.get("id") or role_id(role["name"])
            need(id in names, 404, f"Could not find role: {id}.")
            roles.append(names[id])
        trust = {"id": self.cloud.new_hex(), "trustor_user_id": request.user_id,
                 "trustee_user_id": trustee, "project_id": wanted.get("project_id"),
                 "impersonation": bool(wanted["impersonation"]),
                 "expires_at": self._end(wanted.get("expires_at")), "deleted_at": None,
                 "remaining_uses": None, "redelegation_count": 0, "roles": roles}
        need(not any(one["kind"] == "keystone.trust" and one["event"] == "created"
                     and all(one["record"][name] == trust[name] for name in ALIKE)
                     for one in self.cloud.ledger), 409,
             "Conflict occurred attempting to store trust - Duplicate entry.")
        self.cloud.add("keystone.trust", trust, str(trust["project_id"] or ""))
        return Answer(201, {"trust": self._shown(trust, with_roles=True)})

    @route("GET", "/v3/OS-TRUST/trusts")
    def find(self, request: Request) -> Answer:
        sides = ("trustor_user_id", "trustee_user_id")
        asked = {side: request.one(side) for side in sides if request.one(side)}
        need(request.admin or (asked and set(asked.values()) == {request.user_id}), 403,
             f"{FORBIDDEN}: identity:list_trusts.")
        return Answer(200, {"trusts": [
            self._shown(one) for one in self.cloud.kinds["keystone.trust"].values()
            if all(one[side] == user for side, user in asked.items())],
            "links": {"next": None, "previous": None}})

    @route("GET", "/v3/OS-TRUST/trusts/{id}")
    def show(self, request: Request, id: str) -> Answer:
        found = self._standing(id)
        need(request.admin or request.user_id in {found["trustor_user_id"],
                                                  found["trustee_user_id"]}, 403,
             f"{FORBIDDEN}: identity:get_trust.")
        return Answer(200, {"trust": self._shown(found, with_roles=True)})

    @route("DELETE", "/v3/OS-TRUST/trusts/{id}")
    def delete(self, request: Request, id: str) -> Answer:
        found = self._standing(id)
        need(request.admin or request.user_id == found["trustor_user_id"], 403,
             f"{FORBIDDEN}: identity:delete_trust.")
        self.cloud.remove("keystone.trust", id)
        return Answer(204)

    def lent(self, id: str, trustee: str) -> tuple[Record, list[str]]:
        """The trust and the roles it passes on now, to this user; Refusal where it passes on
        nothing: 404 when it is gone, 403 when it cannot be used."""
        found = self._standing(id)
        trustor = self.cloud.kinds["keystone.user"][found["trustor_user_id"]]
        need(trustee == found["trustee_user_id"], 403, f"{FORBIDDEN}.")
        need(trustor["enabled"], 403, f"{FORBIDDEN}.")
        roles = effective(found["roles"])
        need(set(roles) <= set(effective(trustor["roles"])), 403, f"{FORBIDDEN}.")
        return found, roles

    def _standing(self, id: str) -> Record:
        found = self.cloud.kinds["keystone.trust"].get(id)
        if found is None or (found["expires_at"]
                             and _seconds(found["expires_at"]) < self.cloud.now()):
            raise Refusal(404, f"Could not find trust: {id}.")
        return found

    def _end(self, wanted: str | None) -> str | None:
        """As Keystone keeps it: whole seconds."""
        if wanted is None:
            return None
        try:
            end = int(_seconds(wanted))
        except ValueError as error:
            raise Refusal(400, "Timestamp not in expected format. The server could not comply "
                               "with the request since it is either malformed or otherwise "
                               "incorrect.") from error
        need(end > self.cloud.now(), 400, "The 'expires_at' must not be before now.")
        return self.cloud.stamp(end, SHAPE)

    def _shown(self, trust: Record, *, with_roles: bool = False) -> dict[str, Any]:
        shown = {name: value for name, value in trust.items()
                 if name != "roles" and not name.startswith("_")}
        shown["links"] = {"self": f"{self.cloud.root}/identity/v3/OS-TRUST/trusts/{trust['id']}"}
        if with_roles:
            shown["roles"] = [{"id": role_id(role), "name": role} for role in trust["roles"]]
        return shown


def effective(roles: Iterable[str]) -> list[str]:
    """With those that they imply, each once."""
    return list(dict.fromkeys(name for role in roles for name in (role, *IMPLIED.get(role, ()))))


def _seconds(stamp: str) -> float:
    return datetime.strptime(stamp.removesuffix("Z").split(".", maxsplit=1)[0],
                             "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
