"""A small OpenStack in one process, for tests: real HTTP, true states, faults on order.

    with Double() as cloud:
        cloud.clouds_yaml(path)                 # clouds admin, demo, demo2, karbor, noservice
        cloud.fault("kill-after", pid=child, nth=3, mutating=True)
        …
        cloud.dump()["cinder.volume"]

It answers as the services of OpenStack 2026.2 do, for the calls that a data-protection service
makes; whatever it does not know is a 404 that names the request. It runs in a process of its own
(`python -m karbor_testing.openstack`), so that killing a client never touches it.
"""

from karbor_testing.openstack.double import Double

__all__ = ["Double"]
