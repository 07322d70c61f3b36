"""memcached: Keystone's and Swift's cache."""

from __future__ import annotations

from dev.devcloud import ports
from dev.devcloud.service import Service


class Memcached(Service):
    name = "memcached"

    def start(self) -> None:
        port = ports.MEMCACHED
        command = ["memcached", "-l", self.host, "-p", port, "-m", 64, "-u", "root"]
        self.cloud.claim("memcached", port)
        self.processes.ensure("memcached", command, self.cloud.environment())
        self.processes.wait(["memcached"], lambda: ports.is_open(self.host, port), "memcached")
