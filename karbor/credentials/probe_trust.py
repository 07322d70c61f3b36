"""A trust tried out: made by the user, held by the trustee, used once, removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from keystoneauth1.identity.base import BaseIdentityPlugin

from karbor.config import ConfigOpts
from karbor.credentials.probe import KeystoneProbe, described
from karbor.credentials.refusal import login_refused
from karbor.domain.errors import CredentialError, ServiceUserUnfit
from karbor.plugin.token_probe import Account, Answer, Trial

_SCOPE = ("project_id", "project_name", "project_domain_id", "project_domain_name", "domain_id",
          "domain_name", "system_scope", "tenant_id", "tenant_name")


class TrustProbe:
    """Of one user towards the account of [trustee], or of [service_user] without one."""

    def __init__(self, keystone: KeystoneProbe) -> None:
        self._keystone = keystone
        self._section = _section(keystone.conf)

    def account(self) -> Account:
        """The trustee's own login. Raises CredentialError."""
        if self._section == "service_user":
            return self._keystone.service()
        plugin = self._load()
        try:
            return described(plugin.get_auth_ref(self._keystone.session))
        except (ksa.ClientException, OSError) as error:
            raise login_refused(error, who=f"[{self._section}]", auth_url=plugin.auth_url,
                                remedy=f"check the section [{self._section}]") from None

    def try_one(self, roles: Sequence[str], expires_at: float, question: str) -> Trial:
        keystone, access = self._keystone, self._keystone.access
        trusts = f"{keystone.auth_url}/OS-TRUST/trusts"
        made = keystone.asker.send(
            "POST", trusts, {"X-Auth-Token": keystone.user_token()},
            json={"trust": {
                "trustor_user_id": access.user_id, "trustee_user_id": self.account().caller.user_id,
                "project_id": access.project_id, "impersonation": True,
                "allow_redelegation": False, "expires_at": _iso(expires_at),
                "roles": [{"name": one} for one in roles]}})
        steps = [("make", made)]
        if made.status != 201:
            return Trial(steps)
        id = made.body["trust"]["id"]
        token, answer = self._log_in(id)
        steps.append(("log in", answer))
        if answer.good:
            steps.append(("use", keystone.asker.send("GET", question, {
                "X-Auth-Token": token, "X-Service-Token": keystone.service_token()})))
        bearer = token if answer.good else keystone.user_token()
        steps.append(("remove", keystone.asker.send("DELETE", f"{trusts}/{id}",
                                                    {"X-Auth-Token": bearer})))
        return Trial(steps)

    def drop(self, expires_at: float) -> Answer:
        keystone = self._keystone
        bearing = {"X-Auth-Token": keystone.user_token()}
        trusts = f"{keystone.auth_url}/OS-TRUST/trusts"
        found = keystone.asker.send(
            "GET", f"{trusts}?trustor_user_id={keystone.access.user_id}", bearing)
        if not found.good:
            return found
        for one in found.body["trusts"]:
            if one["expires_at"] == _iso(expires_at):
                removed = keystone.asker.send("DELETE", f"{trusts}/{one['id']}", bearing)
                if not removed.good and removed.status != 404:
                    return removed
        return Answer(204)

    def _log_in(self, id: str) -> tuple[str, Answer]:
        try:
            plugin = self._load(trust_id=id, **dict.fromkeys(_SCOPE))
            access = plugin.get_auth_ref(self._keystone.session)
        except CredentialError as error:
            return "", Answer(0, error.message)
        except (ksa.ClientException, OSError) as error:
            status = getattr(error, "http_status", 0) or 0
            return "", Answer(int(status), " ".join(str(
                getattr(error, "message", None) or type(error).__name__).split()))
        return str(access.auth_token), Answer(201)

    def _load(self, **changes: str | None) -> BaseIdentityPlugin:
        try:
            inner = loading.load_auth_from_conf_options(self._keystone.conf, self._section,
                                                        **changes)
        except (ksa.ClientException, TypeError) as error:
            raise ServiceUserUnfit(f"the account of [{self._section}] cannot hold trusts: "
                                   f"{' '.join(str(error).split())}",
                                   remedy="give [trustee] a user with a password") from error
        if not isinstance(inner, BaseIdentityPlugin):
            raise ServiceUserUnfit(f"[{self._section}] logs nobody in",
                                   remedy="give [trustee] a user with a password")
        return inner


def _section(conf: ConfigOpts) -> str:
    if "trustee" in conf and (conf.trustee.auth_type or conf.trustee.auth_section):
        return "trustee"
    return "service_user"


def _iso(moment: float) -> str:
    """As Keystone keeps a trust's end: in whole seconds."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
