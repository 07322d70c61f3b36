"""A real OpenStack on the loopback interface, for developing and testing Karbor.

Keystone, Glance, Swift, Cinder, Placement, Neutron, Nova, Barbican and Manila from PyPI, MariaDB,
RabbitMQ and memcached from Debian: ordinary processes below one state directory, without
containers, without systemd.  It is a tool of this repository and no part of the installed package.

This package needs nothing but Python's standard library: it installs the rest.
"""
