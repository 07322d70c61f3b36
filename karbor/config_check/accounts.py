"""The sections with logins: are they complete, and would they be used as they are meant?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from karbor.config_check.files import Written, auth_types
from karbor.doctor.finding import Finding, Verdict
from karbor.known_options import ACCOUNTS, plugin_opts

_PLAIN = {"localhost", "127.0.0.1", "::1"}
_SERVICE = "without it Karbor works with the login of whoever types a command; a service cannot"


def accounts(files: Sequence[Written]) -> Iterator[Finding]:
    """Check [service_user], [trustee] and [keystone_authtoken], one after another."""
    types = auth_types(files)
    for section in ACCOUNTS:
        options = merged(files, section)
        real = options.get("auth_section") or section
        if real != section:
            options = {**merged(files, real), **{k: v for k, v in options.items() if k == "cafile"}}
        findings = list(_section(real, options, types.get(real, "")))
        if not options:
            findings = [_absent(section, types)]
        yield from findings or [Finding("account", f"[{section}]", Verdict.OK,
                                        f"auth_type {types[real]}, complete")]


def merged(files: Sequence[Written], section: str) -> dict[str, str]:
    """Return what the section says, the later file over the earlier one."""
    return {name: values[-1].strip() for file in files
            for name, values in file.sections.get(section, {}).items() if values[-1].strip()}


def _absent(section: str, types: dict[str, str]) -> Finding:
    if section == "service_user":
        return Finding("account", "[service_user]", Verdict.WARNING, "there is none",
                       means=_SERVICE, fix="see docs/users/configuration.md")
    if not types.get("service_user"):
        return Finding("account", f"[{section}]", Verdict.OK, "there is none")
    if section == "trustee" and "password" not in types["service_user"]:
        return Finding("account", "[trustee]", Verdict.WARNING,
                       f"there is none, and [service_user] is {types['service_user']}",
                       means="no trust can be made: operations end with Keystone's window",
                       fix="give [trustee] a user with a password")
    return Finding("account", f"[{section}]", Verdict.OK, "the account of [service_user]")


def _section(section: str, options: dict[str, str], auth_type: str) -> Iterator[Finding]:
    def broken(seen: str, fix: str, means: str = "") -> Finding:
        return Finding("account", f"[{section}]", Verdict.BROKEN, seen, means, fix)

    if not options:
        return
    if not auth_type:
        login = sorted({"username", "password", "auth_url", "user_id"} & set(options))
        if section != "keystone_authtoken" or login:
            yield broken("it says no auth_type", "add auth_type = password, or another type of "
                         "keystoneauth", f"{', '.join(login) or 'what it says'} is not used")
        return
    if not (known := {plugin_opt.dest for plugin_opt in plugin_opts(auth_type)}):
        near = get_close_matches(auth_type, entry_points(group="keystoneauth1.plugin").names, 1)
        yield broken(f"there is no auth_type {auth_type}",
                     f"did you mean {near[0]}?" if near else "password is the usual one")
        return
    if section == "trustee" and "password" not in auth_type:
        yield broken(f"auth_type {auth_type} holds no trusts",
                     "give it a user with a password: auth_type = password")
    for names in _needed(options, known, project=section != "trustee"):
        yield broken(f"it says no {' or '.join(names)}", f"add {names[0]}")
    yield from _manners(section, options)


def _needed(options: dict[str, str], known: set[str], *, project: bool
            ) -> Iterator[tuple[str, ...]]:
    """Return the sets of options of which one must be there, and none is."""
    groups: list[tuple[str, ...]] = [("auth_url",)]
    if "application_credential_id" in options or "application_credential_name" in options or (
            "application_credential_secret" in known and "password" not in known):
        groups += [("application_credential_id", "application_credential_name"),
                   ("application_credential_secret",)]
        project = False
    elif "password" in known:
        groups += [("username", "user_id"), ("password",)]
        if "username" in options and "user_domain_id" in known:
            groups.append(("user_domain_name", "user_domain_id", "default_domain_name",
                           "default_domain_id"))
    if project and "project_name" in known:
        groups.append(("project_name", "project_id"))
        if "project_name" in options:
            groups.append(("project_domain_name", "project_domain_id", "default_domain_name",
                           "default_domain_id"))
    for names in dict.fromkeys(groups):
        former = {"project_name": "tenant_name", "username": "user_name"}
        if not any(name in options or former.get(name) in options for name in names):
            yield names[:2]


def _manners(section: str, options: dict[str, str]) -> Iterator[Finding]:
    def warned(seen: str, means: str, fix: str) -> Finding:
        return Finding("account", f"[{section}]", Verdict.WARNING, seen, means, fix)

    url = urlsplit(options.get("auth_url", ""))
    if options.get("auth_url") and (url.scheme not in ("http", "https") or not url.hostname):
        yield Finding("account", f"[{section}]", Verdict.BROKEN, "auth_url is no address",
                      fix="it looks like https://keystone.example.org/v3")
    elif url.scheme == "http" and url.hostname not in _PLAIN:
        yield warned("auth_url begins with http:", "the password is sent unencrypted", "use https")
    if options.get("insecure", "").lower() in ("true", "yes", "1", "on"):
        yield warned("insecure = true", "anybody in between can be Keystone", "name a cafile")
    for name in ("cafile", "certfile", "keyfile"):
        if name in options and not os.access(options[name], os.R_OK):
            yield Finding("account", f"[{section}] {name}", Verdict.BROKEN,
                          f"{options[name]} cannot be read", fix="correct the path or its mode")
    if (section == "keystone_authtoken"
            and options.get("service_token_roles_required", "").lower() in ("false", "no", "0")):
        yield warned("service_token_roles_required = false",
                     "a user's own token passes for that of a service", "remove the option")
