"""Keystone: accounts, catalog and the tokens that this project is about."""

from __future__ import annotations

import base64
import os

from dev.devcloud import accounts, ini, ports, uwsgi
from dev.devcloud.service import Endpoint, Service
from dev.devcloud.settings import PLUGINS


class Keystone(Service):
    """Fernet tokens with the lifetime that the settings ask for."""

    name = "keystone"
    needs = ("mariadb", "memcached")
    databases = ("keystone",)
    endpoints = (Endpoint("keystone", "identity", f"http://{{host}}:{ports.KEYSTONE}/v3"),)
    setup_files = (PLUGINS / "keystone_setup.py",)

    def configure(self) -> None:
        for kind in ("fernet-keys", "credential-keys"):
            self._create_keys(kind)
        settings = self.cloud.settings
        self.conf = ini.write(
            self.etc / "keystone.conf",
            {
                "DEFAULT": {"debug": settings.debug, "use_stderr": True},
                "database": self.cloud.database("keystone"),
                "token": {
                    "provider": "fernet",
                    "expiration": settings.token_expiration,
                    "allow_expired_window": settings.allow_expired_window,
                },
                "fernet_tokens": {"key_repository": self.etc / "fernet-keys"},
                "fernet_receipts": {"key_repository": self.etc / "fernet-keys"},
                "credential": {"key_repository": self.etc / "credential-keys"},
                # without it each validation of a token is dozens of SQL requests (0.4 to 1 s)
                "cache": {
                    "enabled": True,
                    "backend": "oslo_cache.memcache_pool",
                    "memcache_servers": f"{self.host}:{ports.MEMCACHED}",
                },
                # a login costs 0.2 s with the default strength, and short tokens mean many logins
                "identity": {"password_hash_rounds": 4},
                **self.cloud.policy(),
            },
        )
        accounts.write_clouds_yaml(self.cloud)

    def _create_keys(self, kind: str) -> None:
        """As `keystone-manage fernet_setup` does it: 0 is the next key, 1 the one in use."""
        directory = self.etc / kind
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        if not any(directory.iterdir()):
            for name in ("1", "0"):
                path = directory / name
                path.touch(0o600)
                path.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))

    def create_schema(self) -> None:
        """The tables, and the accounts and catalog of all services of this cloud."""
        self.processes.run(
            "keystone-setup",
            [self.cloud.bin("python"), PLUGINS / "keystone_setup.py", self.conf],
            self.cloud.environment(),
            stdin=self.cloud.account_document.encode(),
        )

    def start(self) -> None:
        uwsgi.ensure(
            self.cloud,
            "keystone",
            "devcloud_keystone:application",
            ports.KEYSTONE,
            files=[self.conf, PLUGINS / "devcloud_keystone.py"],
            environment=self.cloud.environment(OS_KEYSTONE_CONFIG_DIR=self.etc),
            processes=6,
            # Keystone 30's AuthContextMiddleware keeps the token of a request on itself: threads of
            # one process take each other's for their own.
            threads=1,
        )
        self.processes.wait(
            ["keystone"], lambda: self.cloud.answers(ports.KEYSTONE, "/v3"), "keystone"
        )

    def rotate_keys(self) -> None:
        """As an operator's cron job does it: tokens made with the key before stay valid."""
        command = [self.cloud.bin("keystone-manage"), "--config-file", self.etc / "keystone.conf"]
        owner = ["--keystone-user", "root", "--keystone-group", "root"]
        self.processes.run(
            "keystone-setup", [*command, "fernet_rotate", *owner], self.cloud.environment()
        )
