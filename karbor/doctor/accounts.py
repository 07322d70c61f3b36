"""Accounts: the login itself, the service account, the trustee, and the form of tokens."""

from __future__ import annotations

from karbor.doctor.context import DiagnosticContext
from karbor.doctor.finding import Verdict
from karbor.doctor.formatting import at, span
from karbor.domain.errors import CredentialError

SHORT = 120.0
"""Seconds of life below which services log in again at every request (keystoneauth's margin)."""


def look_at_accounts(context: DiagnosticContext) -> None:
    _login(context)
    if context.configured.service_user:
        _service(context)
        context.trustee_unfit = context.probe.trustee_unfit()
    else:
        context.unfit = context.trustee_unfit = "no [service_user] is configured"
        context.add("service account", "", Verdict.UNPROVEN, "no [service_user] is configured: "
                    "Karbor uses the user's own login, which "
                    + ("renews itself" if context.user.renews else "is a token, which ends"),
                    "operations of users without a login of their own (a service, schedules) "
                    "cannot run", "configure an account with the role service as [service_user]")
    _form(context)


def _login(context: DiagnosticContext) -> None:
    user = context.user
    caller = user.caller
    seen = (f"{caller.user_name} in {caller.project_name}, by {', '.join(caller.methods)}; roles "
            f"{', '.join(sorted(caller.roles))}; the token lives {span(user.life)}, until "
            f"{at(user.expires_at)}")
    context.add("login", "user", Verdict.OK, seen)
    if user.access_rules:
        context.add(
            "login", "access rules", Verdict.WARNING,
            "the application credential has access rules",
            "each service without [keystone_authtoken] service_type refuses it with 401, and one "
            "with include_service_catalog = false answers 500",
            "use one without access rules, or set service_type in every service")
    if caller.federated:
        context.add(
            "login", "federation", Verdict.WARNING, "the user logged in through another provider",
            "roles that come from groups allow trusts and application credentials only while the "
            "provider's authorization_ttl lasts",
            "openstack identity provider set --authorization-ttl MINUTES: as long as operations "
            "take")
    if user.life < SHORT:
        context.add(
            "login", "short tokens", Verdict.WARNING, f"tokens live {span(user.life)}",
            "services log in again at every request; in Cinder 29 two backups at once in one "
            "cinder-backup process can hang (greenlet.error: Cannot switch to a different thread)",
            "[token] expiration of 300 or more in Keystone, or backup_max_operations = 1 in Cinder")


def _service(context: DiagnosticContext) -> None:
    role = context.configured.role
    try:
        context.service = service = context.probe.service()
    except CredentialError as error:
        if error.transient:
            raise
        context.unfit = error.message
        context.add("service account", "login", Verdict.BROKEN, error.message,
                    "no operation can begin", error.remedy)
        return
    name, project = service.caller.user_name, service.caller.project_name
    if not service.project_scoped:
        context.unfit = f"the login of [service_user] ({name}) is for no project"
        context.add("service account", "scope", Verdict.BROKEN, context.unfit,
                    "no operation can begin: its roles do not count",
                    "[service_user] project_name and project_domain_name")
        return
    if role not in service.caller.roles:
        has = ", ".join(sorted(service.caller.roles)) or "none"
        context.unfit = f"the account of [service_user] ({name}) lacks the role {role}"
        context.add("service account", "role", Verdict.BROKEN,
                    f"{name} lacks the role {role} in {project} (it has: {has})",
                    "no operation can begin: services would refuse every request that bears its "
                    "token (401)",
                    f"openstack role add --user {name} --project {project} {role}")
        return
    context.add("service account", "role", Verdict.OK,
                f"{name} has the role {role} in {project}, by "
                f"{', '.join(service.caller.methods)}")


def _form(context: DiagnosticContext) -> None:
    match context.user.form:
        case "fernet":
            context.add("tokens", "form", Verdict.OK, "fernet: they end with the rotation of keys")
        case "jws":
            context.add("tokens", "form", Verdict.OK, "JWS: keep the public keys of old tokens "
                        "until their window is over")
        case _:
            context.add("tokens", "form", Verdict.UNPROVEN, "tokens of an unknown kind",
                        "how rotation of keys affects them is not known",
                        "[token] provider = fernet")
