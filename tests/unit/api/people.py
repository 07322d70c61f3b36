"""People with tokens, and a Keystone that believes whatever a token says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from karbor.api.authentication import Wsgi

MINE = "11111111111141118111111111111111"
OTHER = "22222222222242228222222222222222"
CATALOG = [
    {"type": "identity", "name": "keystone", "endpoints": [
        {"interface": "public", "region": "R1", "url": "https://cloud.example:5000/v3/"},
        {"interface": "internal", "region": "R1", "url": "http://10.0.0.1/identity"},
        {"interface": "admin", "region": "R2", "url": "http://[fd00::1]:35357/v2.0"}]},
    {"type": "compute", "name": "nova", "endpoints": [
        {"interface": "public", "region": "R1", "url": "https://nova.example"}]}]
IMPLIED = {"admin": ("admin", "member", "reader"), "member": ("member", "reader"),
           "reader": ("reader",), "nobody": ()}


@dataclass(frozen=True)
class Person:
    """Somebody with a role, in a project or (with `scope`) in the system or a domain."""

    role: str
    project_id: str = MINE
    scope: str = "project"

    @property
    def token(self) -> str:
        return f"{self.role}:{self.project_id}:{self.scope}"

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Auth-Token": self.token}


READER, MEMBER, ADMIN = Person("reader"), Person("member"), Person("admin")
THEIRS = Person("member", OTHER)


def fake_keystone(application: Wsgi) -> Wsgi:
    """Leaves in the environment what keystonemiddleware's auth_token leaves there."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_X_AUTH_TOKEN")
        if given is None or given.count(":") != 2 or given.partition(":")[0] not in IMPLIED:
            body = json.dumps({"error": {"code": 401, "title": "Unauthorized",
                                         "message": "requires authentication"}}).encode()
            start_response("401 Unauthorized", [("Content-Type", "application/json"),
                                                ("Content-Length", str(len(body)))])
            return [body]
        role, project, scope = given.split(":")
        roles = IMPLIED[role]
        environ |= {"HTTP_X_IDENTITY_STATUS": "Confirmed", "HTTP_X_ROLES": ",".join(roles),
                    "HTTP_X_USER_ID": f"user-{role}", "HTTP_X_USER_NAME": role,
                    "HTTP_X_IS_ADMIN_PROJECT": "True"}
        if scope == "project":
            environ |= {"HTTP_X_PROJECT_ID": project, "HTTP_X_PROJECT_NAME": "a project"}
        elif scope == "system":
            environ["HTTP_OPENSTACK_SYSTEM_SCOPE"] = "all"
        elif scope == "domain":
            environ["HTTP_X_DOMAIN_ID"] = "default"
        environ["keystone.token_info"] = {"token": {
            "methods": ["password"], "expires_at": "2026-11-26T08:00:00.000000Z",
            "user": {"id": f"user-{role}", "name": role},
            "catalog": CATALOG, "roles": [{"name": one} for one in roles]}}
        return application(environ, start_response)

    return answer
