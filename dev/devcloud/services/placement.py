"""Placement: what Nova's scheduler asks."""

from __future__ import annotations

from dev.devcloud import ini, ports, uwsgi
from dev.devcloud.service import Endpoint, Service


class Placement(Service):
    name = "placement"
    needs = ("keystone",)
    databases = ("placement",)
    user = "placement"
    endpoints = (Endpoint("placement", "placement", f"http://{{host}}:{ports.PLACEMENT}"),)

    def configure(self) -> None:
        self.conf = ini.write(
            self.etc / "placement.conf",
            {
                "DEFAULT": {"debug": self.cloud.settings.debug, "use_stderr": True},
                "placement_database": self.cloud.database("placement"),
                "api": {"auth_strategy": "keystone"},
                "keystone_authtoken": self.cloud.authtoken("placement", "placement"),
            },
        )

    def create_schema(self) -> None:
        command = [self.cloud.bin("placement-manage"), "--config-file", self.conf, "db", "sync"]
        self.processes.run("placement-setup", command, self.cloud.environment())

    def start(self) -> None:
        uwsgi.ensure(
            self.cloud,
            "placement",
            "placement.wsgi.api:application",
            ports.PLACEMENT,
            files=[self.conf],
            environment=self.cloud.environment(OS_PLACEMENT_CONFIG_DIR=self.etc),
        )
        self.processes.wait(["placement"], lambda: self.cloud.answers(ports.PLACEMENT), "placement")
