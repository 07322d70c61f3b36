"""Probe requests: for each service a cheap GET that needs a token and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

CHEAP: Mapping[str, str] = {
    # Those that Karbor itself works with; paths as their `Service` counts them.
    "cinder": "/volumes?limit=1",
    "nova": "/servers?limit=1",
    "glance": "/images?limit=1",
    "neutron": "/networks?limit=1",
    "swift": "?limit=1",
    "manila": "/shares?limit=1",
    "trove": "/instances?limit=1",
    "barbican": "/secrets?limit=1",
}

OTHERS: Mapping[str, str] = {
    # By catalog type, below the catalog's address. That a user may see the answer is not needed:
    # 403 was said to somebody who was recognized.
    "placement": "/resource_providers?name=karbor-doctor",
    "orchestration": "/stacks?limit=1",
    "load-balancer": "/v2/lbaas/loadbalancers?limit=1",
    "dns": "/v2/zones?limit=1",
    "container-infra": "/clusters?limit=1",
    "container-infrastructure-management": "/clusters?limit=1",
    "baremetal": "/v1/nodes?limit=1",
    "workflow": "/workflows?limit=1",
    "workflowv2": "/workflows?limit=1",
    "alarm": "/v2/alarms?limit=1",
    "alarming": "/v2/alarms?limit=1",
    "metric": "/v1/metric?limit=1",
    "instance-ha": "/v1/segments?limit=1",
    "rating": "/v1/rating/modules",
    "reservation": "/leases",
    "messaging": "/v2/queues?limit=1",
    "application-container": "/v1/containers?limit=1",
    "backup": "/jobs?limit=1",
}
