"""Rules of security groups: they bear no mark, but Neutron itself knows two equal ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from karbor.domain.errors import CloudForbidden, CloudNotFound, RequestRefused
from karbor.plugin.cloud import Api
from karbor.protections.neutron.request_bodies import rule, rule_key

Record = dict[str, Any]
Tell = Callable[[str, str], None]
Maps = Mapping[str, Mapping[str, str]]


def write_rules(api: Api, old: Record, new: str, maps: Maps, tell: Tell) -> None:
    """Give a group that this restore made exactly the kept rules. Idempotent.

    A new group comes with rules that let everything out; those the original did not have go. A rule
    that Neutron refuses, as when it refers to a group of others that is gone, is told.
    """
    wanted: dict[tuple[str, ...], Record] = {}
    for security_group_rule in old["security_group_rules"]:
        body = rule(security_group_rule, maps)
        wanted[rule_key(body)] = {
            **body,
            "description": security_group_rule.get("description") or "",
        }
    present = {
        rule_key(rule(security_group_rule, {})): security_group_rule["id"]
        for security_group_rule in api.get(f"/security-groups/{new}")["security_group"][
            "security_group_rules"
        ]
    }
    for key in present.keys() - wanted.keys():
        api.delete(f"/security-group-rules/{present[key]}")
    missing = [{**wanted[key], "security_group_id": new}
               for key in wanted if key not in present]
    if not missing:
        return
    try:
        api.post("/security-group-rules", {"security_group_rules": missing})
    except (RequestRefused, CloudForbidden, CloudNotFound):  # all or none: which one was it?
        for security_group_rule in missing:
            _write_rule(
                api, security_group_rule, f"security group {old['name'] or old['id']}", tell
            )


def _write_rule(api: Api, wanted: Record, group: str, tell: Tell) -> None:
    try:
        api.post("/security-group-rules", {"security_group_rules": [wanted]})
    except (RequestRefused, CloudForbidden, CloudNotFound) as error:
        if "already exists" not in error.message:       # in another spelling: nothing is missing
            tell(f"{group}: rule {describe(wanted)}", error.message)


def describe(one: Record) -> str:
    """Return a rule in a few words."""
    ports = [str(one[end]) for end in ("port_range_min", "port_range_max")
             if one.get(end) is not None]
    remote = next((str(one[name]) for name in ("remote_group_id", "remote_address_group_id",
                                               "remote_ip_prefix") if one.get(name)), "anywhere")
    return " ".join([one["direction"], one["ethertype"], one.get("protocol") or "any protocol",
                     *(["-".join(dict.fromkeys(ports))] if ports else []),
                     "from" if one["direction"] == "ingress" else "to", remote])


def report_differences(now: Record, old: Record, maps: Maps, tell: Tell) -> None:
    """Report how a group that was there already differs. It is never altered: others may rely on
    it."""
    before = {
        rule_key(rule(security_group_rule, maps))
        for security_group_rule in old["security_group_rules"]
    }
    present = {
        rule_key(rule(security_group_rule, {}))
        for security_group_rule in now["security_group_rules"]
    }
    for count, what in ((len(before - present), "kept rules that it lacks"),
                        (len(present - before), "rules that were not kept")):
        if count:
            tell(f"security group {old['name'] or old['id']}",
                 f"it exists and was left as it is, with {count} {what}")
