"""Swift: a proxy and one storage device; the destination of Cinder's backups."""

from __future__ import annotations

from dev.devcloud import ini, ports
from dev.devcloud.service import Endpoint, Service
from dev.devcloud.settings import PLUGINS

_STORAGE = {
    "object": ports.SWIFT_OBJECT,
    "container": ports.SWIFT_CONTAINER,
    "account": ports.SWIFT_ACCOUNT,
}
_PIPELINE = (
    "catch_errors gatekeeper healthcheck proxy-logging cache bulk tempurl authtoken keystoneauth "
    "copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-logging "
    "proxy-server"
)
_PLAIN_FILTERS = (
    "catch_errors gatekeeper healthcheck proxy-logging bulk tempurl copy container-quotas "
    "account-quotas slo dlo versioned_writes symlink"
)


class Swift(Service):
    name = "swift"
    needs = ("keystone", "memcached")
    user = "swift"
    endpoints = (
        Endpoint("swift", "object-store", f"http://{{host}}:{ports.SWIFT}/v1/AUTH_%(project_id)s"),
    )

    def configure(self) -> None:
        devices = self.state.data / "swift"
        (devices / "d1").mkdir(parents=True, exist_ok=True)
        hashes = {"swift_hash_path_suffix": "devcloud", "swift_hash_path_prefix": "devcloud"}
        self.confs = [
            ini.write(
                self.etc / "swift.conf",
                {
                    "swift-hash": hashes,
                    "storage-policy:0": {"name": "default", "default": True},
                },
            )
        ]
        common = {
            "bind_ip": self.host,
            "user": "root",
            "swift_dir": self.etc,  # swift.conf is read from there too
            "workers": 0,
            "log_level": "DEBUG" if self.cloud.settings.debug else "INFO",
            "log_to_console": True,
            "log_address": self.state.run / "no-syslog",
        }
        self.confs.append(ini.write(self.etc / "proxy-server.conf", self._proxy(common)))
        for kind, port in _STORAGE.items():
            server = common | {
                "bind_port": port,
                "devices": devices,
                "mount_check": False,
                "disable_fallocate": True,
                "fallocate_reserve": 0,
            }
            if kind == "object":
                # lists show what was confirmed, on a loaded machine too (default: one second)
                server["container_update_timeout"] = 60
            sections: ini.Sections = {
                "DEFAULT": server,
                "pipeline:main": {"pipeline": f"{kind}-server"},
                f"app:{kind}-server": {"use": f"egg:swift#{kind}"},
            }
            for daemon in ("replicator", "updater", "auditor"):
                sections[f"{kind}-{daemon}"] = {}
            self.confs.append(ini.write(self.etc / f"{kind}-server.conf", sections))

    def _proxy(self, common: dict[str, object]) -> ini.Sections:
        auth = self.cloud.authtoken("swift", "object-store")
        del auth["region_name"]
        sections: ini.Sections = {
            "DEFAULT": common | {"bind_port": ports.SWIFT, "eventlet_debug": False},
            "pipeline:main": {"pipeline": _PIPELINE},
            "app:proxy-server": {
                "use": "egg:swift#proxy",
                "account_autocreate": True,
                "allow_account_management": True,
                "node_timeout": 60,
            },
            "filter:authtoken": {
                "paste.filter_factory": "keystonemiddleware.auth_token:filter_factory",
                "delay_auth_decision": True,
                **auth,
            },
            "filter:keystoneauth": {
                "use": "egg:swift#keystoneauth",
                "operator_roles": "admin, member, swiftoperator",
                "reader_roles": "reader",
                "reseller_admin_role": "ResellerAdmin",
            },
            "filter:cache": {
                "use": "egg:swift#memcache",
                "memcache_servers": f"{self.host}:{ports.MEMCACHED}",
            },
        }
        for name in _PLAIN_FILTERS.split():
            sections[f"filter:{name}"] = {"use": f"egg:swift#{name.replace('-', '_')}"}
        sections["filter:versioned_writes"]["allow_object_versioning"] = True
        return sections

    def start(self) -> None:
        environment = self.cloud.environment(SWIFT_CONF_DIR=self.etc)
        if not self.state.done("swift-rings"):
            rings = [f"{kind}:{port}" for kind, port in _STORAGE.items()]
            command = [self.cloud.bin("python"), PLUGINS / "swift_rings.py", self.etc, self.host]
            self.processes.run("swift-setup", [*command, *rings], environment)
            self.state.mark("swift-rings")
        self.cloud.claim("swift-proxy", ports.SWIFT)
        for kind, port in _STORAGE.items():
            self.cloud.claim(f"swift-{kind}", port)
        names = ["swift-proxy"]
        for kind in ("object", "container", "account", "proxy"):
            command = [self.cloud.bin(f"swift-{kind}-server"), self.etc / f"{kind}-server.conf"]
            self.processes.ensure(f"swift-{kind}", command, environment, files=self.confs)
            names.append(f"swift-{kind}")
        self.processes.wait(
            names,
            lambda: (
                all(ports.is_open(self.host, port) for port in _STORAGE.values())
                and self.cloud.answers(ports.SWIFT, "/healthcheck")
            ),
            "swift",
        )
