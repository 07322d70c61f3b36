"""The services of the double, in the order in which they are populated."""

from __future__ import annotations

from karbor.testing.openstack.cinder import Cinder
from karbor.testing.openstack.glance import Glance
from karbor.testing.openstack.manila import Manila
from karbor.testing.openstack.neutron import Neutron
from karbor.testing.openstack.nova import Nova
from karbor.testing.openstack.service import Service
from karbor.testing.openstack.swift import Swift

SERVICES: tuple[type[Service], ...] = (Cinder, Glance, Neutron, Nova, Swift, Manila)
