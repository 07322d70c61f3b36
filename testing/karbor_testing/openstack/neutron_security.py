"""Neutron's security groups and their rules."""

from __future__ import annotations

from typing import Any

from karbor_testing.openstack.cloud import Record, need
from karbor_testing.openstack.exchange import Request
from karbor_testing.openstack.neutron_kinds import Collection, Kind

SAME = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max",
        "remote_ip_prefix", "remote_group_id", "remote_address_group_id", "security_group_id")


class SecurityGroups(Collection):
    kind = Kind("security_groups", "Security group", {
        "name": "", "description": "", "stateful": True, "shared": False},
        frozenset({"shared"}))

    def fill(self, request: Request, wanted: dict[str, Any]) -> Record:
        need(wanted["name"] != "default" or not self._default(request.project_id), 409,
             "Default security group already exists.", "SecurityGroupDefaultAlreadyExists")
        return wanted

    def created(self, request: Request, record: Record) -> None:
        rules = self.cloud.part(SecurityGroupRules)
        for ethertype in ("IPv4", "IPv6"):
            rules.add(request, {"security_group_id": record["id"], "direction": "egress",
                                "ethertype": ethertype})
            if record["name"] == "default":
                rules.add(request, {"security_group_id": record["id"], "direction": "ingress",
                                    "ethertype": ethertype, "remote_group_id": record["id"]})

    def default(self, request: Request) -> Record:
        """The project's default group; it comes into being when it is first needed."""
        return self._default(request.project_id) or self.add(
            request, {"name": "default", "description": "Default security group"})

    def _default(self, project: str) -> Record | None:
        return next((one for one in self.all()
                     if one["_project"] == project and one["name"] == "default"), None)

    def listed(self, request: Request) -> None:
        self.default(request)

    def changing(self, request: Request, record: Record,
                 wanted: dict[str, Any]) -> None:
        need(record["name"] != "default" or wanted.get("name", "default") == "default", 409,
             "Updating default security group not allowed.", "SecurityGroupCannotUpdateDefault")

    def removing(self, request: Request, record: Record) -> None:
        need(record["name"] != "default" or request.admin, 409,
             "Insufficient rights for removing default security group.",
             "SecurityGroupCannotRemoveDefault")
        used = [one for one in self.cloud.kinds["neutron.port"].values()
                if record["id"] in one["security_groups"]]
        need(not used, 409, f"Security Group {record['id']} in use.", "SecurityGroupInUse")
        for one in list(self.cloud.kinds["neutron.security_group_rule"].values()):
            if one["security_group_id"] == record["id"]:
                self.cloud.remove("neutron.security_group_rule", one["id"])

    def view(self, record: Record) -> dict[str, Any]:
        rules = self.cloud.part(SecurityGroupRules)
        return super().view(record) | {"security_group_rules": [
            rules.view(one) for one in rules.all() if one["security_group_id"] == record["id"]]}


class SecurityGroupRules(Collection):
    kind = Kind("security_group_rules", "Security group rule", {
        "description": "", "security_group_id": None, "direction": None, "ethertype": "IPv4",
        "protocol": None, "port_range_min": None, "port_range_max": None,
        "remote_ip_prefix": None, "remote_group_id": None, "remote_address_group_id": None},
        tags=False)

    def fill(self, request: Request, wanted: dict[str, Any]) -> Record:
        groups = self.cloud.part(SecurityGroups)
        groups.get(request, wanted["security_group_id"])
        if wanted["remote_group_id"]:
            groups.get(request, wanted["remote_group_id"])
        for one in self.all():
            need(any(one[name] != wanted[name] for name in SAME), 409,
                 f"Security group rule already exists. Rule id is {one['id']}.",
                 "SecurityGroupRuleExists")
        return {**wanted, "normalized_cidr": wanted["remote_ip_prefix"],
                "belongs_to_default_sg": False}
