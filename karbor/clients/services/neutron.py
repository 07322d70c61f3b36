"""Neutron: networks, subnets, ports, routers, security groups, floating addresses."""

from karbor.clients.service import Service

NEUTRON = Service(name="neutron", types=("network",), version_path="/v2.0", sdk="network")
