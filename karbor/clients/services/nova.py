"""Nova: servers, key pairs, server groups, attachments."""

from karbor.clients.service import PolledKind, Service

NOVA = Service(
    name="nova",
    types=("compute",),
    version_path="/v2.1",
    sdk="compute",
    # 2.90 (Zed): tags at creation (2.52), flavors embedded in servers (2.47), attachments with
    # delete_on_termination (2.70) and tags (2.70), server groups of a server (2.71), device
    # details (2.89), hostnames (2.90). Not beyond: 2.96 and later changed what may be left out.
    microversion="2.90",
    microversion_headers=(("OpenStack-API-Version", "compute "),
                          ("X-OpenStack-Nova-API-Version", "")),
    looks={
        "server": PolledKind("/servers/detail", "servers", "/servers/", "server",
                             ("status", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state"),
                             complete=False),       # it may leave out those of a cell that is down
    },
)
