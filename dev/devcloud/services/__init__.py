"""The services, one module each; the order is that of starting when there is a choice."""

from __future__ import annotations

from dev.devcloud.cloud import Cloud
from dev.devcloud.service import Service
from dev.devcloud.services.barbican import Barbican
from dev.devcloud.services.cinder import Cinder
from dev.devcloud.services.glance import Glance
from dev.devcloud.services.keystone import Keystone
from dev.devcloud.services.manila import Manila
from dev.devcloud.services.mariadb import MariaDB
from dev.devcloud.services.memcached import Memcached
from dev.devcloud.services.neutron import Neutron
from dev.devcloud.services.nova import Nova
from dev.devcloud.services.placement import Placement
from dev.devcloud.services.rabbit import Rabbit
from dev.devcloud.services.swift import Swift

ALL: tuple[type[Service], ...] = (
    MariaDB,
    Memcached,
    Rabbit,
    Keystone,
    Nova,
    Placement,
    Neutron,
    Cinder,
    Glance,
    Swift,
    Barbican,
    Manila,
)


def with_needs(names: list[str]) -> list[str]:
    """These services and all that they need, in the order of ALL."""
    known = {kind.name: kind for kind in ALL}
    wanted: set[str] = set()

    def add(name: str) -> None:
        if name not in wanted:
            wanted.add(name)
            for needed in known[name].needs:
                add(needed)

    for name in names:
        add(name)
    return [kind.name for kind in ALL if kind.name in wanted]


def of(cloud: Cloud) -> list[Service]:
    """The services of this cloud."""
    wanted = with_needs(cloud.settings.services)
    return [kind(cloud) for kind in ALL if kind.name in wanted]
