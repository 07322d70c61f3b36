"""Manila: shares of its own dummy driver, which stores nothing; the API is real."""

from __future__ import annotations

from dev.devcloud import ini, ports, uwsgi
from dev.devcloud.admin import Admin
from dev.devcloud.service import Endpoint, Service


class Manila(Service):
    name = "manila"
    needs = ("keystone", "rabbit")
    after = ("rabbit",)
    databases = ("manila",)
    user = "manila"
    endpoints = (Endpoint("manilav2", "sharev2", f"http://{{host}}:{ports.MANILA}/v2"),)

    def configure(self) -> None:
        self.cloud.copy_package_etc("manila")
        data = self.state.data / "manila"
        (data / "lock").mkdir(parents=True, exist_ok=True)
        self.conf = ini.write(
            self.etc / "manila.conf",
            {
                "DEFAULT": {
                    "debug": self.cloud.settings.debug,
                    "use_stderr": True,
                    "transport_url": self.cloud.transport_url,
                    "auth_strategy": "keystone",
                    "api_paste_config": self.etc / "api-paste.ini",
                    "rootwrap_config": self.etc / "rootwrap.conf",
                    "state_path": data,
                    "host": "devcloud",
                    "my_ip": self.host,
                    "osapi_share_listen": self.host,
                    "enabled_share_backends": "dummy",
                    "enabled_share_protocols": "NFS,CIFS",
                    "default_share_type": "default",
                },
                "dummy": {
                    "share_driver": "manila.tests.share.drivers.dummy.DummyDriver",
                    "share_backend_name": "dummy",
                    "driver_handles_share_servers": False,
                },
                "database": self.cloud.database("manila"),
                "keystone_authtoken": self.cloud.authtoken("manila", "shared-file-system"),
                "oslo_concurrency": {"lock_path": data / "lock"},
                "coordination": {"backend_url": f"file://{data}"},
                **{n: self.cloud.login("manila") for n in ("neutron", "nova", "cinder", "glance")},
                **self.cloud.policy(),
                **self.cloud.messaging(),
            },
        )

    def create_schema(self) -> None:
        command = [self.cloud.bin("manila-manage"), "--config-file", self.conf, "db", "sync"]
        self.processes.run("manila-setup", command, self.cloud.environment())

    def start(self) -> None:
        uwsgi.ensure(
            self.cloud,
            "manila-api",
            "manila.wsgi.api:application",
            ports.MANILA,
            files=[self.conf],
            arguments=f"--config-file {self.conf}",
        )
        workers = ["manila-scheduler", "manila-share"]
        for name in workers:
            command = [self.cloud.bin(name), "--config-file", self.conf]
            self.processes.ensure(name, command, self.cloud.environment(), files=[self.conf])
        self.processes.wait(
            ["manila-api", *workers], lambda: self.cloud.answers(ports.MANILA), "manila-api"
        )
        reported = (
            "SELECT `binary`, UNIX_TIMESTAMP(updated_at) FROM services "
            "WHERE deleted IN ('False', '0')"
        )
        self.processes.wait(
            workers, lambda: self.cloud.reported("manila", reported, workers), "manila's workers"
        )

    def seed(self) -> None:
        """The share type that the configuration names as the default."""
        admin = Admin(self.cloud)
        url = f"http://{self.host}:{ports.MANILA}/v2/types"
        version = {"X_OpenStack_Manila_API_Version": "2.60"}
        if not admin.get(url, **version)["share_types"]:
            share_type = {
                "name": "default",
                "share_type_access:is_public": True,
                "extra_specs": {
                    "driver_handles_share_servers": "False",
                    "snapshot_support": "True",
                    "create_share_from_snapshot_support": "True",
                },
            }
            admin.post(url, {"share_type": share_type}, **version)
