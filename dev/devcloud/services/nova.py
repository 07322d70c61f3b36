"""Nova: real API, scheduler and conductor above a fake hypervisor with real disks."""

from __future__ import annotations

from typing import Any

from dev.devcloud import ini, ports, uwsgi
from dev.devcloud.service import Endpoint, Service
from dev.devcloud.settings import PLUGINS

_UNLIMITED = "instances cores ram metadata_items key_pairs server_groups server_group_members"


class Nova(Service):
    name = "nova"
    needs = ("keystone", "rabbit", "glance", "placement", "neutron", "cinder")
    after = ("rabbit",)
    databases = ("nova_api", "nova_cell0", "nova_cell1")
    user = "nova"
    endpoints = (Endpoint("nova", "compute", f"http://{{host}}:{ports.NOVA}/v2.1"),)
    setup_files = (PLUGINS / "nova_setup.py",)

    def configure(self) -> None:
        self.cloud.copy_package_etc("nova")
        data = self.state.data / "nova"
        for directory in ("lock", "instances"):
            (data / directory).mkdir(parents=True, exist_ok=True)
        # a server of m1.zero is as small as its image; Nova leaves such servers to administrators
        (self.etc / "policy.yaml").write_text(
            '"os_compute_api:servers:create:zero_disk_flavor": "rule:project_member_or_admin"\n'
        )
        login = self.cloud.login("nova")
        self.conf = ini.write(
            self.etc / "nova.conf",
            {
                "DEFAULT": self._default(),
                "api": {"auth_strategy": "keystone"},
                "wsgi": {"api_paste_config": self.etc / "api-paste.ini"},
                "api_database": self.cloud.database("nova_api"),
                "database": self.cloud.database("nova_cell1"),
                "keystone_authtoken": self.cloud.authtoken("nova", "compute"),
                "service_user": self.cloud.service_user("nova"),
                "keystone": login,
                "cinder": login
                | {"catalog_info": "block-storage:cinder:publicURL", "os_region_name": "RegionOne"},
                "glance": {
                    "endpoint_override": f"http://{self.host}:{ports.GLANCE}",
                    "num_retries": 1,
                },
                "neutron": login | {"service_metadata_proxy": False, "valid_interfaces": "public"},
                "placement": login | {"valid_interfaces": "public"},
                "oslo_concurrency": {"lock_path": data / "lock"},
                "filter_scheduler": {"track_instance_changes": False},
                "scheduler": {"workers": 1},
                "conductor": {"workers": 1},
                "quota": dict.fromkeys(_UNLIMITED.split(), -1),
                "vnc": {"enabled": False},
                "oslo_policy": self.cloud.policy()["oslo_policy"]
                | {"policy_file": self.etc / "policy.yaml"},
                **self.cloud.key_manager("nova"),
                **self.cloud.messaging(),
            },
        )

    def _default(self) -> dict[str, Any]:
        data = self.state.data / "nova"
        return {
            "debug": self.cloud.settings.debug,
            "use_stderr": True,
            "transport_url": self.cloud.transport_url,
            "host": "devcloud",
            "my_ip": self.host,
            "state_path": data,
            "instances_path": data / "instances",
            "enabled_apis": "osapi_compute",
            "osapi_compute_listen": self.host,
            "compute_driver": "devcloud.DevcloudDriver",
            "vif_plugging_is_fatal": False,
            "vif_plugging_timeout": 0,
            "block_device_allocate_retries_interval": 1,
            "use_cow_images": False,
            "force_raw_images": False,
            "instance_usage_audit": False,
        }

    def create_schema(self) -> None:
        """Tables of both databases and cell 0, the cell mappings and the flavors."""
        self.processes.run(
            "nova-setup",
            [
                *(self.cloud.bin("python"), PLUGINS / "nova_setup.py", self.conf),
                *(self.cloud.database_url("nova_cell0"), self.cloud.database_url("nova_cell1")),
                self.cloud.transport_url,
            ],
            self.cloud.environment(),
        )

    def start(self) -> None:
        # the paste file comes first: Nova loads the pipeline from the first of these
        files = [self.conf]
        uwsgi.ensure(
            self.cloud,
            "nova-api",
            "nova.wsgi.osapi_compute:application",
            ports.NOVA,
            files=files,
            environment=self.cloud.environment(
                OS_NOVA_CONFIG_DIR=self.etc, OS_NOVA_CONFIG_FILES="api-paste.ini;nova.conf"
            ),
        )
        environment = self.cloud.environment()
        arguments = ["--config-file", self.conf]
        for name in ("nova-conductor", "nova-scheduler"):
            command = [self.cloud.bin(name), *arguments]
            self.processes.ensure(name, command, environment, files=files)
        early = ["nova-conductor", "nova-scheduler"]
        self.processes.wait(early, lambda: all(map(self._runs, early)), " and ".join(early))
        # nova-compute asks these three when it starts: an answer missed costs 10 s, or a minute
        self.processes.wait(
            ["nova-conductor"],
            lambda: (
                self.cloud.answers(ports.KEYSTONE, "/v3") and self.cloud.answers(ports.PLACEMENT)
            ),
            "keystone and placement",
        )
        command = [self.cloud.bin("python"), "-m", "devcloud_compute", *arguments]
        driver = PLUGINS / "nova_virt" / "devcloud.py"
        self.processes.ensure("nova-compute", command, environment, files=[*files, driver])
        workers = [*early, "nova-compute"]
        # Nova believes in a worker by its last report, and the first one comes after 5 s: one of
        # before a restart will do, if it is not old, together with what the log says
        reported = (
            "SELECT `binary`, UNIX_TIMESTAMP(COALESCE(last_seen_up, created_at)) FROM services "
            "WHERE NOT deleted AND (`binary` != 'nova-compute' OR EXISTS "
            "(SELECT 1 FROM compute_nodes))"
        )

        def ready() -> bool:
            ages = self.cloud.sign_ages("nova_cell1", reported)
            return all(ages.get(name, 1e9) < 45 and self._runs(name) for name in workers)

        self.processes.wait(workers, ready, "nova's workers")
        self.processes.wait(["nova-api"], lambda: self.cloud.answers(ports.NOVA), "nova-api")

    def _runs(self, worker: str) -> bool:
        return self.processes.logged(worker, f"Starting {worker.removeprefix('nova-')} node")
