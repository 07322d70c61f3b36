"""A trust tried out: made by the user, held by the trustee, used once, removed."""

from __future__ import annotations

from collections.abc import Sequence

from karbor.credentials.keystone_probe import KeystoneProbe
from karbor.credentials.trustee import Trustee, keystone_time
from karbor.domain.errors import CredentialError
from karbor.plugin.token_probe import Answer, Trial


class TrustProbe:
    """Of one user towards the account of [trustee], or of [service_user] without one."""

    def __init__(self, keystone: KeystoneProbe) -> None:
        self._keystone = keystone
        self._trustee = Trustee(keystone.conf, keystone.service_auth)

    def unfit(self) -> str:
        """Return why the account can hold no trusts; empty if it can. Raises CredentialError
        when Keystone does not answer."""
        reason = self._trustee.unfit()
        if reason:
            return reason
        try:
            _ = self._trustee.user_id
        except CredentialError as error:
            if error.transient:
                raise
            return error.message
        return ""

    def try_one(self, roles: Sequence[str], expires_at: float, question: str) -> Trial:
        keystone, access = self._keystone, self._keystone.access
        trusts = f"{keystone.auth_url}/OS-TRUST/trusts"
        made = keystone.asker.send(
            "POST", trusts, {"X-Auth-Token": keystone.user_token()},
            json={"trust": {
                "trustor_user_id": access.user_id, "trustee_user_id": self._trustee.user_id,
                "project_id": access.project_id, "impersonation": True,
                "allow_redelegation": False, "expires_at": keystone_time(expires_at),
                "roles": [{"name": role} for role in roles]}})
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
        answer = keystone.asker.send(
            "GET", f"{trusts}?trustor_user_id={keystone.access.user_id}", bearing)
        if not answer.good:
            return answer
        for trust in answer.body["trusts"]:
            if trust["expires_at"] == keystone_time(expires_at):
                removed = keystone.asker.send("DELETE", f"{trusts}/{trust['id']}", bearing)
                if not removed.good and removed.status != 404:
                    return removed
        return Answer(204)

    def _log_in(self, id: str) -> tuple[str, Answer]:
        try:
            access = self._trustee.login(id).get_auth_ref(self._keystone.session)
        except CredentialError as error:
            return "", Answer(0, error.message)
        return str(access.auth_token), Answer(201)
