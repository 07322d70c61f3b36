"""Barbican: secrets, in its database."""

from __future__ import annotations

from dev.devcloud import ini, ports, uwsgi
from dev.devcloud.service import Endpoint, Service
from dev.devcloud.settings import PLUGINS


class Barbican(Service):
    name = "barbican"
    needs = ("keystone",)
    databases = ("barbican",)
    user = "barbican"
    endpoints = (Endpoint("barbican", "key-manager", f"http://{{host}}:{ports.BARBICAN}"),)

    def configure(self) -> None:
        self.cloud.copy_package_etc("barbican")
        # it reads ~/.barbican and /etc/barbican only: it gets a home directory of its own
        self.conf = ini.write(
            self.etc / "home" / ".barbican" / "barbican.conf",
            {
                "DEFAULT": {
                    "debug": self.cloud.settings.debug,
                    "use_stderr": True,
                    "host_href": f"http://{self.host}:{ports.BARBICAN}",
                    "db_auto_create": False,
                },
                "database": self.cloud.database("barbican"),
                "keystone_authtoken": self.cloud.authtoken("barbican", "key-manager"),
                "secretstore": {
                    "namespace": "barbican.secretstore.plugin",
                    "enabled_secretstore_plugins": "store_crypto",
                },
                "crypto": {"enabled_crypto_plugins": "simple_crypto"},
                "simple_crypto_plugin": {"kek": "ZGV2Y2xvdWRkZXZjbG91ZGRldmNsb3VkZGV2Y2xvdWQ="},
                **self.cloud.policy(),
            },
        )

    def _environment(self) -> dict[str, str]:
        return self.cloud.environment(
            HOME=self.etc / "home", BARBICAN_PASTE=self.etc / "barbican-api-paste.ini"
        )

    def create_schema(self) -> None:
        url = self.cloud.database_url("barbican")
        command = [self.cloud.bin("barbican-manage"), "db", "upgrade", "-d", url]
        self.processes.run("barbican-setup", command, self._environment())

    def start(self) -> None:
        uwsgi.ensure(
            self.cloud,
            "barbican",
            "devcloud_barbican:application",
            ports.BARBICAN,
            files=[self.conf, PLUGINS / "devcloud_barbican.py"],
            environment=self._environment(),
        )
        self.processes.wait(["barbican"], lambda: self.cloud.answers(ports.BARBICAN), "barbican")
