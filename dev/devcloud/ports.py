"""Addresses and ports: each cloud has a loopback address of its own, with the standard ports.

So clouds of several clones can run side by side, and no cloud takes 127.0.0.1:5000 from whatever
else a developer's machine runs there.
"""

from __future__ import annotations

import socket

from dev.devcloud.settings import DevcloudError

KEYSTONE = 5000
GLANCE = 9292
SWIFT = 8080
SWIFT_OBJECT = 6200
SWIFT_CONTAINER = 6201
SWIFT_ACCOUNT = 6202
CINDER = 8776
PLACEMENT = 8778
NEUTRON = 9696
NOVA = 8774
BARBICAN = 9311
MANILA = 8786
MARIADB = 3306
RABBIT = 5672
MEMCACHED = 11211

_ALL = (
    KEYSTONE,
    GLANCE,
    SWIFT,
    SWIFT_OBJECT,
    SWIFT_CONTAINER,
    SWIFT_ACCOUNT,
    CINDER,
    PLACEMENT,
    NEUTRON,
    NOVA,
    BARBICAN,
    MANILA,
    MARIADB,
    RABBIT,
    MEMCACHED,
)


def rabbit_distribution(host: str) -> int:
    """RabbitMQ's Erlang port, which is on 127.0.0.1 whatever the address: differs per cloud."""
    return 25000 + int(host.rpartition(".")[2])


def rabbit_epmd(host: str) -> int:
    """epmd also listens on 127.0.0.1 always: differs per cloud."""
    return 14000 + int(host.rpartition(".")[2])


def is_open(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose_host() -> str:
    """The first address whose ports are all free; a server on 0.0.0.0 takes a port of all."""
    taken: dict[str, list[int]] = {}
    for last in range(10, 255, 10):
        host = f"127.0.0.{last}"
        used = [port for port in _ALL if not _is_free(host, port)]
        local = (rabbit_distribution(host), rabbit_epmd(host))
        used += [port for port in local if not _is_free("127.0.0.1", port)]
        if not used:
            return host
        taken[host] = used
    host, used = next(iter(taken.items()))
    raise DevcloudError(
        f"no loopback address has all ports free (on {host} taken: {', '.join(map(str, used))})"
    )
