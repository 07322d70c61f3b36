"""The services of the double, in the order in which they are populated."""

from __future__ import annotations

from karbor_testing.openstack.cinder import Cinder
from karbor_testing.openstack.glance import Glance
from karbor_testing.openstack.manila import Manila
from karbor_testing.openstack.neutron import Neutron
from karbor_testing.openstack.nova import Nova
from karbor_testing.openstack.service import Service
from karbor_testing.openstack.swift import Swift

SERVICES: tuple[type[Service], ...] = (Cinder, Glance, Neutron, Nova, Swift, Manila)
