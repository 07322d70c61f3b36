"""One small file for each service that plugins may ask for."""

from __future__ import annotations

from karbor.clients.service import PolledKind, Service
from karbor.clients.services.barbican import BARBICAN
from karbor.clients.services.cinder import CINDER
from karbor.clients.services.glance import GLANCE
from karbor.clients.services.manila import MANILA
from karbor.clients.services.neutron import NEUTRON
from karbor.clients.services.nova import NOVA
from karbor.clients.services.swift import SWIFT
from karbor.clients.services.trove import TROVE

KNOWN: dict[str, Service] = {
    one.name: one for one in (CINDER, NOVA, GLANCE, NEUTRON, SWIFT, MANILA, TROVE, BARBICAN)}

LOOKED: dict[str, tuple[Service, PolledKind]] = {
    f"{service.name}.{kind}": (service, looked)
    for service in KNOWN.values() for kind, looked in service.looks.items()}
"""What Cloud.look understands."""
