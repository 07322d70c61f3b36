"""Cinder: volumes as raw files, backups to Swift and, as an option, to a directory."""

from __future__ import annotations

import time
from typing import Any

from dev.devcloud import ini, ports, uwsgi
from dev.devcloud.admin import Admin
from dev.devcloud.service import Endpoint, Service
from dev.devcloud.settings import PLUGINS

_URL = f"http://{{host}}:{ports.CINDER}/v3"
_DRIVER = PLUGINS / "devcloud_volume.py"
_PATIENCE = 5.0     # seconds for the first words of cinder-volume to the scheduler


class Cinder(Service):
    name = "cinder"
    needs = ("keystone", "rabbit", "glance", "swift")
    after = ("rabbit",)
    databases = ("cinder",)
    user = "cinder"
    endpoints = (
        Endpoint("cinder", "block-storage", _URL),
        Endpoint("cinderv3", "volumev3", _URL),
    )

    def configure(self) -> None:
        self.cloud.copy_package_etc("cinder")
        data = self.state.data / "cinder"
        for directory in ("conversion", "locks", "backup-posix"):
            (data / directory).mkdir(parents=True, exist_ok=True)
        conf = self.etc / "cinder.conf"
        helper = f"{self.cloud.bin('privsep-helper')} --config-file {conf}"
        privsep = {"helper_command": helper}
        self.conf = ini.write(
            conf,
            {
                "DEFAULT": self._default(),
                # plugins/devcloud_volume.py: no storage protocol, every path of Cinder above it
                "file": {
                    "volume_driver": "devcloud_volume.FileDriver",
                    "volume_backend_name": "file",
                    "file_volume_dir": self.state.data / "volumes",
                },
                "database": self.cloud.database("cinder"),
                "keystone_authtoken": self.cloud.authtoken("cinder", "block-storage"),
                "service_user": self.cloud.service_user("cinder"),
                "nova": self.cloud.login("cinder") | {"interface": "public"},
                "oslo_concurrency": {"lock_path": data / "locks"},
                "coordination": {"backend_url": f"file://{data}"},
                "privsep_osbrick": privsep,
                "cinder_sys_admin": privsep,
                "privsep": privsep,
                **self.cloud.policy(),
                **self.cloud.key_manager("cinder"),
                **self.cloud.messaging(),
            },
        )
        # read after the first: another host, so that an availability zone picks it
        self.posix_conf = ini.write(
            self.etc / "backup-posix.conf",
            {
                "DEFAULT": {
                    "host": "devcloud-posix",
                    "storage_availability_zone": "posix",
                    "backup_driver": "cinder.backup.drivers.posix.PosixBackupDriver",
                }
            },
        )

    def _default(self) -> dict[str, Any]:
        data = self.state.data / "cinder"
        return {
            "debug": self.cloud.settings.debug,
            "use_stderr": True,
            "transport_url": self.cloud.transport_url,
            "auth_strategy": "keystone",
            "api_paste_config": self.etc / "api-paste.ini",
            "resource_query_filters_file": self.etc / "resource_filters.json",
            "rootwrap_config": self.etc / "rootwrap.conf",
            "state_path": data,
            "host": "devcloud",
            "my_ip": self.host,
            "osapi_volume_listen": self.host,
            "osapi_volume_workers": 1,
            "enabled_backends": "file",
            "default_volume_type": "file",
            "glance_api_servers": f"http://{self.host}:{ports.GLANCE}",
            "image_conversion_dir": data / "conversion",
            "service_down_time": 60,
            "quota_volumes": 10000,
            "quota_snapshots": 10000,
            "quota_gigabytes": 1000000,
            "quota_backups": 10000,
            "quota_backup_gigabytes": 1000000,
            "backup_driver": "cinder.backup.drivers.swift.SwiftBackupDriver",
            "backup_swift_url": f"http://{self.host}:{ports.SWIFT}/v1/AUTH_",
            "backup_swift_auth": "per_user",
            "backup_swift_auth_version": 3,
            # the service token towards Swift: without it no backup outlives the user's token
            "backup_swift_service_auth": self.cloud.settings.backup_swift_service_auth,
            "backup_swift_retry_attempts": 1,
            "backup_posix_path": data / "backup-posix",
            "backup_workers": 1,
            # One at a time: with tokens of seconds, two backups in native threads meet at the
            # green lock of the service token's renewal, and one of them waits for ever
            # ("greenlet.error: Cannot switch to a different thread").
            "backup_max_operations": 1,
            # a third of the CPU time of the default, zlib, which every test would wait for
            "backup_compression_algorithm": "zstd",
        }

    def create_schema(self) -> None:
        command = [self.cloud.bin("cinder-manage"), "--config-file", self.conf, "db", "sync"]
        self.processes.run("cinder-setup", command, self.cloud.environment())

    def start(self) -> None:
        uwsgi.ensure(
            self.cloud,
            "cinder-api",
            "cinder.wsgi.api:application",
            ports.CINDER,
            files=[self.conf],
            arguments=f"--config-file {self.conf}",
        )
        workers = ["cinder-scheduler", "cinder-volume", "cinder-backup"]
        for worker in workers:
            self._ensure_worker(worker, worker)
        if self.cloud.settings.posix_backup:
            self._ensure_worker("cinder-backup-posix", "cinder-backup", self.posix_conf)
            workers.append("cinder-backup-posix")
        else:
            self.processes.remove("cinder-backup-posix")
        self.processes.wait(
            ["cinder-api", *workers], lambda: self.cloud.answers(ports.CINDER), "cinder-api"
        )
        reported = (
            "SELECT CONCAT(`binary`, IF(host = 'devcloud-posix', '-posix', '')), "
            "UNIX_TIMESTAMP(updated_at) FROM services WHERE NOT deleted"
        )
        self.processes.wait(
            workers, lambda: self.cloud.reported("cinder", reported, workers), "cinder's workers"
        )

    def introduce(self) -> None:
        """A scheduler and a cinder-volume that start within the same second miss each other's first
        words, and the next come a minute later: until then no volume can be made."""
        begin = time.monotonic()
        while not self._backend_known():
            if time.monotonic() - begin > _PATIENCE:
                self.processes.stop("cinder-volume")
                self.processes.start("cinder-volume")
                self.processes.wait(["cinder-scheduler", "cinder-volume"], self._backend_known,
                                    "cinder's backend")
                return
            time.sleep(0.2)

    def _backend_known(self) -> bool:
        url = f"http://{self.host}:{ports.CINDER}/v3/scheduler-stats/get_pools"
        return bool(Admin(self.cloud).get(url)["pools"])

    def _ensure_worker(self, name: str, program: str, *more: Any) -> None:
        files = [self.conf, *more]
        command: list[Any] = [self.cloud.bin(program)]
        for file in files:
            command += ["--config-file", file]
        environment = self.cloud.environment()
        self.processes.ensure(name, command, environment, files=[*files, _DRIVER])

    def seed(self) -> None:
        admin = Admin(self.cloud)
        url = f"http://{self.host}:{ports.CINDER}/v3/types"
        if not any(kind["name"] == "file" for kind in admin.get(url)["volume_types"]):
            kind = {"name": "file", "extra_specs": {"volume_backend_name": "file"}}
            admin.post(url, {"volume_type": kind})
