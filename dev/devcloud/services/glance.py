"""Glance: images, in plain files."""

from __future__ import annotations

from dev.devcloud import ini, ports, uwsgi
from dev.devcloud.service import Endpoint, Service


class Glance(Service):
    name = "glance"
    needs = ("keystone",)
    databases = ("glance",)
    user = "glance"
    endpoints = (Endpoint("glance", "image", f"http://{{host}}:{ports.GLANCE}"),)

    def configure(self) -> None:
        store = self.state.data / "glance"
        for directory in ("images", "staging", "tasks"):
            (store / directory).mkdir(parents=True, exist_ok=True)
        self.cloud.copy_package_etc("glance")
        # the package's file of this name would be read as well: ours takes its place
        self.conf = ini.write(
            self.etc / "glance-api.conf",
            {
                "DEFAULT": {
                    "debug": self.cloud.settings.debug,
                    "use_stderr": True,
                    "enabled_backends": "file:file",
                    "bind_host": self.host,
                    "bind_port": ports.GLANCE,
                    "node_staging_uri": f"file://{store / 'staging'}",
                    "worker_self_reference_url": f"http://{self.host}:{ports.GLANCE}",
                },
                "database": self.cloud.database("glance"),
                "keystone_authtoken": self.cloud.authtoken("glance", "image"),
                "service_user": self.cloud.service_user("glance"),
                "paste_deploy": {
                    "flavor": "keystone",
                    "config_file": self.etc / "glance-api-paste.ini",
                },
                "glance_store": {"default_backend": "file"},
                "file": {"filesystem_store_datadir": store / "images"},
                "os_glance_staging_store": {"filesystem_store_datadir": store / "staging"},
                "os_glance_tasks_store": {"filesystem_store_datadir": store / "tasks"},
                "oslo_messaging_notifications": {"driver": "noop"},
                **self.cloud.policy(),
            },
        )

    def create_schema(self) -> None:
        command = [self.cloud.bin("glance-manage"), "--config-file", self.conf, "db_sync"]
        self.processes.run("glance-setup", command, self.cloud.environment())

    def start(self) -> None:
        uwsgi.ensure(
            self.cloud,
            "glance",
            "glance.wsgi.api:application",
            ports.GLANCE,
            files=[self.conf],
            environment=self.cloud.environment(OS_GLANCE_CONFIG_DIR=self.etc),
            threads=48,  # each image under way holds one, for as long as its client takes
        )
        self.processes.wait(["glance"], lambda: self.cloud.answers(ports.GLANCE), "glance")
