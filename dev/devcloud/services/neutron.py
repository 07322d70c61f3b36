"""Neutron: networks, subnets, ports, routers, floating addresses, security groups; no packets."""

from __future__ import annotations

from dev.devcloud import ini, ports, uwsgi
from dev.devcloud.admin import Admin
from dev.devcloud.service import Endpoint, Service
from dev.devcloud.settings import PLUGINS

_UNLIMITED = "network subnet port router floatingip security_group security_group_rule"


class Neutron(Service):
    """Only the API: plugins/devcloud_ml2.py binds every port at once, without an agent."""

    name = "neutron"
    needs = ("keystone", "rabbit")
    after = ("rabbit",)
    databases = ("neutron",)
    user = "neutron"
    endpoints = (Endpoint("neutron", "network", f"http://{{host}}:{ports.NEUTRON}"),)

    def configure(self) -> None:
        self.cloud.copy_package_etc("neutron")
        data = self.state.data / "neutron"
        (data / "lock").mkdir(parents=True, exist_ok=True)
        self.conf = ini.write(
            self.etc / "neutron.conf",
            {
                "DEFAULT": {
                    "debug": self.cloud.settings.debug,
                    "use_stderr": True,
                    "transport_url": self.cloud.transport_url,
                    "auth_strategy": "keystone",
                    "core_plugin": "ml2",
                    "service_plugins": "router",
                    "api_paste_config": self.etc / "api-paste.ini",
                    "state_path": data,
                    "bind_host": self.host,
                    "bind_port": ports.NEUTRON,
                    "dhcp_agent_notification": False,
                    "notify_nova_on_port_status_changes": False,
                    "notify_nova_on_port_data_changes": False,
                    "rpc_workers": 0,
                    "rpc_state_report_workers": 0,
                    "api_workers": 1,
                },
                "database": self.cloud.database("neutron"),
                "keystone_authtoken": self.cloud.authtoken("neutron", "network"),
                "nova": self.cloud.login("neutron"),
                "placement": self.cloud.login("neutron"),
                "oslo_concurrency": {"lock_path": data / "lock"},
                "quotas": {f"quota_{name}": -1 for name in _UNLIMITED.split()},
                "ml2": {
                    "type_drivers": "local,flat,vlan,vxlan",
                    "tenant_network_types": "vxlan",
                    "project_network_types": "vxlan",
                    "mechanism_drivers": "devcloud",
                    "extension_drivers": "port_security",
                },
                "ml2_type_flat": {"flat_networks": "*"},
                "ml2_type_vxlan": {"vni_ranges": "1:10000"},
                "securitygroup": {"enable_security_group": True},
                **self.cloud.policy(),
                **self.cloud.messaging(),
            },
        )

    def create_schema(self) -> None:
        program = self.cloud.bin("neutron-db-manage")
        command = [program, "--config-file", self.conf, "upgrade", "heads"]
        self.processes.run("neutron-setup", command, self.cloud.environment())

    def start(self) -> None:
        uwsgi.ensure(
            self.cloud,
            "neutron-api",
            "devcloud_neutron:application",
            ports.NEUTRON,
            files=[self.conf, *(PLUGINS / f"devcloud_{one}.py" for one in ("ml2", "neutron"))],
            environment=self.cloud.environment(
                OS_NEUTRON_CONFIG_DIR=self.etc, OS_NEUTRON_CONFIG_FILES="neutron.conf"
            ),
        )
        self.processes.wait(["neutron-api"], lambda: self.cloud.answers(ports.NEUTRON), "neutron")

    def seed(self) -> None:
        """The external network `public`, whose addresses are those of the documentation."""
        admin = Admin(self.cloud)
        url = f"http://{self.host}:{ports.NEUTRON}/v2.0"
        networks = admin.get(f"{url}/networks?name=public")["networks"]
        network = {
            "name": "public",
            "router:external": True,
            "provider:network_type": "flat",
            "provider:physical_network": "public",
        }
        found = networks or [admin.post(f"{url}/networks", {"network": network})["network"]]
        if not found[0]["subnets"]:
            subnet = {"network_id": found[0]["id"], "ip_version": 4, "cidr": "203.0.113.0/24"}
            subnet |= {"name": "public", "enable_dhcp": False}
            admin.post(f"{url}/subnets", {"subnet": subnet})
