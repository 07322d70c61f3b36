"""Rules of security groups: they bear no mark, but Neutron itself knows two equal ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from karbor.plugin.cloud import Api
from karbor.protections.network_bodies import rule, rule_key

Record = dict[str, Any]
Tell = Callable[[str, str], None]


def write_rules(api: Api, old: Record, new: str, groups: Mapping[str, str], tell: Tell) -> None:
    """Give a group that this restore made exactly the kept rules. Idempotent.

    A new group comes with rules that let everything out; those the original did not have go.
    """
    wanted: dict[tuple[str, ...], Record] = {}
    for one in old["security_group_rules"]:
        if one.get("remote_address_group_id"):
            tell(f"security group {old['name']}: rule {one['id']}", "it refers to an address group")
            continue
        body = rule(one, groups)
        wanted[rule_key(body)] = {**body, "description": one.get("description") or ""}
    present = {rule_key(rule(one, {})): one["id"] for one in
               api.get(f"/security-groups/{new}")["security_group"]["security_group_rules"]}
    for key in present.keys() - wanted.keys():
        api.delete(f"/security-group-rules/{present[key]}")
    missing = [{**wanted[key], "security_group_id": new}
               for key in wanted if key not in present]
    if missing:
        api.post("/security-group-rules", {"security_group_rules": missing})


def report_differences(now: Record, old: Record, groups: Mapping[str, str], tell: Tell) -> None:
    """A group that was there already is never altered: others may rely on it. Tell instead."""
    before = {rule_key(rule(one, groups)) for one in old["security_group_rules"]}
    present = {rule_key(rule(one, {})) for one in now["security_group_rules"]}
    for count, what in ((len(before - present), "kept rules that it lacks"),
                        (len(present - before), "rules that were not kept")):
        if count:
            tell(f"security group {old['name'] or old['id']}",
                 f"it exists and was left as it is, with {count} {what}")
