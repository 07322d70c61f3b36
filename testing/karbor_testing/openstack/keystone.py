"""Keystone: accounts, tokens and the catalog; and what keystonemiddleware does with a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from karbor_testing.openstack.cloud import Cloud, Record, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.keystone_application_credentials import (
    METHOD as APPLICATION_CREDENTIAL,
)
from karbor_testing.openstack.keystone_application_credentials import ApplicationCredentials
from karbor_testing.openstack.keystone_trusts import FORBIDDEN, Trusts, effective, role_id
from karbor_testing.openstack.service import Part, Service, route

PASSWORD = "double"     # noqa: S105 (of every account of the double; it protects nothing)
DOMAIN = {"id": "default", "name": "Default"}
ACCOUNTS = {    # user → project, roles
    "admin": ("admin", ("admin", "manager", "member", "reader")),
    "demo": ("demo", ("member", "reader")),
    "demo2": ("demo2", ("member", "reader")),
    "karbor": ("service", ("service",)),
    "noservice": ("service", ("member", "reader")),
    "reader": ("demo", ("reader",)),
}
DISABLED = "Project is disabled: %s."
WRONG = "The request you have made requires authentication."


def populate(cloud: Cloud, services: Iterable[Service]) -> None:
    """Accounts and the catalog of a new cloud."""
    projects: dict[str, str] = {}
    for name, (project, roles) in ACCOUNTS.items():
        if project not in projects:
            made = cloud.add("keystone.project", {"id": cloud.new_hex(), "name": project,
                                                  "domain_id": DOMAIN["id"], "enabled": True}, "")
            projects[project] = made["id"]
        cloud.add("keystone.user", {"id": cloud.new_hex(), "name": name, "enabled": True,
                                    "domain_id": DOMAIN["id"], "roles": list(roles),
                                    "_password": PASSWORD}, projects[project])
    for service in services:
        for kind in service.types:
            cloud.add("keystone.service", {"id": cloud.new_hex(), "type": kind,
                                           "name": service.name,
                                           "path": f"/{service.name}{service.suffix}"}, "")
    for other in cloud.on_populated:
        other(projects)


class Accounts(Part):
    def user(self, given: Mapping[str, Any]) -> Record:
        for one in self.cloud.kinds["keystone.user"].values():
            if given.get("id", one["id"]) == one["id"] and given.get("name",
                                                                     one["name"]) == one["name"]:
                return one
        raise Refusal(401, WRONG)

    def project(self, given: Mapping[str, Any]) -> Record:
        for one in self.cloud.kinds["keystone.project"].values():
            if given.get("id", one["id"]) == one["id"] and given.get("name",
                                                                     one["name"]) == one["name"]:
                return one
        raise Refusal(401, WRONG)

    @route("GET", "/v3/auth/projects")
    @route("GET", "/v3/users/{user}/projects")
    def projects(self, request: Request, user: str = "") -> Answer:
        mine = self.cloud.kinds["keystone.user"][user or request.user_id]["_project"]
        return Answer(200, {"projects": [self._project(self.cloud.kinds["keystone.project"][mine])],
                            "links": {"next": None, "previous": None}})

    @route("GET", "/v3/projects/{id}")
    def show_project(self, request: Request, id: str) -> Answer:
        found = self.cloud.kinds["keystone.project"].get(id)
        need(found and (request.admin or id == request.project_id), 403,
             "You are not authorized to perform the requested action: identity:get_project.")
        assert found is not None
        return Answer(200, {"project": self._project(found)})

    @route("GET", "/v3/projects")
    def list_projects(self, request: Request) -> Answer:
        need(request.admin, 403,
             "You are not authorized to perform the requested action: identity:list_projects.")
        found = [self._project(one) for one in self.cloud.kinds["keystone.project"].values()
                 if request.one("name", one["name"]) == one["name"]]
        return Answer(200, {"projects": found, "links": {"next": None, "previous": None}})

    @route("GET", "/v3/users/{id}")
    def show_user(self, request: Request, id: str) -> Answer:
        need(request.admin or id == request.user_id, 403,
             "You are not authorized to perform the requested action: identity:get_user.")
        one = self.cloud.kinds["keystone.user"][id]
        return Answer(200, {"user": {"id": id, "name": one["name"], "enabled": one["enabled"],
                                     "domain_id": DOMAIN["id"]}})

    def _project(self, one: Record) -> dict[str, Any]:
        return {"id": one["id"], "name": one["name"], "domain_id": DOMAIN["id"],
                "enabled": one["enabled"], "is_domain": False, "parent_id": DOMAIN["id"],
                "description": "", "tags": [], "options": {}, "links": {}}


class Tokens(Part):
    @route("POST", "/v3/auth/tokens")
    def issue(self, request: Request) -> Answer:
        auth = request.member("auth")
        identity = auth.get("identity", {})
        methods = identity.get("methods", [])
        made_with: Record | None = None
        if methods == ["password"]:
            given = identity["password"]["user"]
            user = self.cloud.part(Accounts).user(given)
            need(user["enabled"] and given.get("password") == user["_password"], 401, WRONG)
            expires = self.cloud.now() + self.cloud.settings.token_life
        elif methods == ["token"]:
            old = self._good(str(identity["token"]["id"]))
            need(not old["trust_id"], 403, f"{FORBIDDEN}.")
            user, expires = self.cloud.kinds["keystone.user"][old["user_id"]], old["expires"]
        elif methods == [APPLICATION_CREDENTIAL]:
            made_with = self.cloud.part(ApplicationCredentials).login(
                identity[APPLICATION_CREDENTIAL])
            user = self.cloud.kinds["keystone.user"][made_with["user_id"]]
            need(user["enabled"] and set(made_with["roles"]) <= set(effective(user["roles"])),
                 401, WRONG)
            expires = self.cloud.now() + self.cloud.settings.token_life
        else:
            raise Refusal(401, WRONG)
        scope = {"project": {"id": user["_project"]}} if made_with else auth.get("scope", {})
        token = {"id": f"gAAAA-{self.cloud.new_hex()}", "issued": self.cloud.now(),
                 "expires": expires, "methods": methods, "revoked": False,
                 "audit": self.cloud.new_hex()[:22], **self._scoped(user, scope),
                 "made_with": made_with["id"] if made_with else ""}
        if made_with:
            token["roles"] = made_with["roles"]
        self.cloud.kinds["keystone.token"][token["id"]] = token
        return Answer(201, self.body(token, "nocatalog" not in request.query),
                      {"X-Subject-Token": token["id"], "Vary": "X-Auth-Token"})

    def _scoped(self, user: Record, scope: Mapping[str, Any]) -> dict[str, Any]:
        """Whom a new token speaks for, where, and what they may do there."""
        need(len(scope) <= 1, 400, "Expecting to find exactly one scope.")
        project: Record | None = None
        roles: list[str] = []
        speaks, trust_id = user, ""
        if "OS-TRUST:trust" in scope:
            trust_id = str(scope["OS-TRUST:trust"].get("id"))
            try:
                trust, roles = self.cloud.part(Trusts).lent(trust_id, user["id"])
            except Refusal as refusal:      # Keystone says no more than this
                raise (Refusal(401, WRONG) if refusal.status == 404 else refusal) from refusal
            project = self.cloud.kinds["keystone.project"].get(trust["project_id"])
            if trust["impersonation"]:
                speaks = self.cloud.kinds["keystone.user"][trust["trustor_user_id"]]
        elif "project" in scope:
            project, roles = self.cloud.part(Accounts).project(scope["project"]), user["roles"]
            need(project["id"] == user["_project"], 401, WRONG)
        need(project is None or project["enabled"], 401, WRONG)
        return {"user_id": speaks["id"], "user_name": speaks["name"], "roles": roles,
                "project_id": project["id"] if project else "",
                "project_name": project["name"] if project else "",
                "trust_id": trust_id, "trustee_id": user["id"] if trust_id else ""}

    @route("GET", "/v3/auth/tokens")
    @route("HEAD", "/v3/auth/tokens")
    def validate(self, request: Request) -> Answer:
        subject = request.headers.get("x-subject-token", "")
        need(subject == request.token["id"]
             or {"admin", "service"} & set(request.token["roles"]), 403,
             "You are not authorized to perform the requested action: identity:validate_token.")
        late = self.cloud.settings.window if request.one("allow_expired") in {"1", "true"} else 0.0
        try:
            token = self._good(subject, late)
        except Refusal as refusal:
            if refusal.status == 403:       # about the trust that it comes from
                raise
            if refusal.message != WRONG:
                raise Refusal(404, refusal.message) from refusal
            raise Refusal(404, "Failed to validate token") from refusal
        return Answer(200, self.body(token, "nocatalog" not in request.query),
                      {"X-Subject-Token": subject, "Vary": "X-Auth-Token"})

    @route("DELETE", "/v3/auth/tokens")
    def revoke(self, request: Request) -> Answer:
        self._good(request.headers.get("x-subject-token", ""))["revoked"] = True
        return Answer(204)

    @route("GET", "/v3/auth/catalog")
    def catalog(self, request: Request) -> Answer:
        return Answer(200, {"catalog": self._catalog(request.project_id), "links": {}})

    def body(self, token: Record, with_catalog: bool) -> dict[str, Any]:
        form = "%Y-%m-%dT%H:%M:%S.%fZ"
        body: dict[str, Any] = {
            "methods": token["methods"], "audit_ids": [token["audit"]],
            "user": {"id": token["user_id"], "name": token["user_name"], "domain": DOMAIN,
                     "password_expires_at": None},
            "issued_at": self.cloud.stamp(token["issued"], form),
            "expires_at": self.cloud.stamp(token["expires"], form)}
        if token["trust_id"]:
            trust = self.cloud.kinds["keystone.trust"][token["trust_id"]]
            body["OS-TRUST:trust"] = {
                "id": trust["id"], "impersonation": trust["impersonation"],
                "trustor_user": {"id": trust["trustor_user_id"]},
                "trustee_user": {"id": trust["trustee_user_id"]}}
        if token["made_with"]:
            found = self.cloud.kinds["keystone.application_credential"][token["made_with"]]
            body["application_credential"] = {"id": found["id"], "name": found["name"],
                                              "restricted": True}
        if token["project_id"]:
            body |= {"project": {"id": token["project_id"], "name": token["project_name"],
                                 "domain": DOMAIN}, "is_domain": False,
                     "roles": [{"id": role_id(role), "name": role} for role in token["roles"]]}
            if with_catalog:
                body["catalog"] = self._catalog(token["project_id"])
        return {"token": body}

    def _catalog(self, project: str) -> list[dict[str, Any]]:
        return [{"id": one["id"], "type": one["type"], "name": one["name"],
                 "endpoints": [{"id": f"{one['id'][:-1]}{number}", "interface": interface,
                                "region": "RegionOne", "region_id": "RegionOne",
                                "url": self.cloud.root + one["path"] % {"project_id": project}}
                               for number, interface in enumerate(("public", "internal"))]}
                for one in self.cloud.kinds["keystone.service"].values()]

    def _good(self, id: str, late: float = 0.0) -> Record:
        """The token. Refusal(401) if it is unknown, revoked, or expired for more than `late`
        seconds, or its trust is gone; Refusal(403) if its trust cannot be used."""
        token = self.cloud.kinds["keystone.token"].get(id)
        if token is None or token["revoked"] or token["expires"] + late <= self.cloud.now():
            raise Refusal(401, WRONG)
        if token["made_with"]:
            try:
                self.cloud.part(ApplicationCredentials).standing(token["made_with"])
            except Refusal as refusal:      # with it go the tokens that it gave
                raise Refusal(401, WRONG) from refusal
        trustee = token["trustee_id"]
        if trustee:
            try:
                self.cloud.part(Trusts).lent(token["trust_id"], trustee)
            except Refusal as refusal:
                raise (Refusal(401, WRONG) if refusal.status == 404 else refusal) from refusal
        user = self.cloud.kinds["keystone.user"][trustee or token["user_id"]]
        need(user["enabled"], 401, WRONG)
        project = self.cloud.kinds["keystone.project"].get(token["project_id"])
        need(project is None or project["enabled"], 401, DISABLED % token["project_id"])
        return token

    def usable(self, id: str, at: float) -> bool:
        try:
            token = self._good(id, float("inf"))
        except Refusal:
            return False
        return bool(at < token["expires"] + self.cloud.settings.window)

    def accept(self, headers: Mapping[str, str]) -> Record:
        """What keystonemiddleware makes of a request: the service token first, then the user's,
        which may be expired if the service token is good and has the role `service`."""
        late, service = 0.0, headers.get("x-service-token")
        if service:
            vouching = self._good(service)
            need("service" in vouching["roles"], 401, WRONG)
            late = self.cloud.settings.window
        try:
            return self._good(headers.get("x-auth-token", ""), late)
        except Refusal as refusal:
            if refusal.status == 403:
                raise Refusal(503, "The Keystone service is temporarily unavailable.") from refusal
            raise

    def accept_own(self, headers: Mapping[str, str]) -> Record:
        """What Keystone itself makes of a request: it knows no service tokens."""
        return self._good(headers.get("x-auth-token", ""))


class Root(Part):
    @route("GET", "/")
    def versions(self, _request: Request) -> Answer:
        return Answer(300, {"versions": {"values": [self._version()]}})

    @route("GET", "/v3")
    def version(self, _request: Request) -> Answer:
        return Answer(200, {"version": self._version()})

    def _version(self) -> dict[str, Any]:
        return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
                "links": [{"rel": "self", "href": f"{self.cloud.root}/identity/v3/"}],
                "media-types": [{"base": "application/json",
                                 "type": "application/vnd.openstack.identity-v3+json"}]}


class Identity(Service):
    name = "identity"
    types = ("identity",)
    suffix = "/v3"
    open = ("/", "/v3/?")
    parts = (Root, Accounts, Tokens, Trusts, ApplicationCredentials)

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        cloud.authenticated = cloud.part(Tokens).accept
        cloud.usable = cloud.part(Tokens).usable

    def answer(self, request: Request) -> Answer:
        if request.path == "/v3/auth/tokens" and request.method == "POST":
            try:
                return self.dispatch(request)
            except Refusal as refusal:
                return self.refused(request, refusal)
        return super().answer(request)

    def authenticated(self, request: Request) -> Mapping[str, Any]:
        return self.cloud.part(Tokens).accept_own(request.headers)
