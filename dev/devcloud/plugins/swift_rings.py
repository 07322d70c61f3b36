"""Swift's three rings with one device each: nine calls of swift-ring-builder in one process.

Arguments: directory, address, and KIND:PORT for each ring.
"""

import pathlib
import sys

from swift.common.ring import RingBuilder

directory, address, *rings = sys.argv[1:]
for ring in rings:
    kind, port = ring.split(":")
    builder = RingBuilder(4, 1, 1)
    device = {"region": 1, "zone": 1, "ip": address, "port": int(port), "device": "d1"}
    device |= {"replication_ip": address, "replication_port": int(port), "weight": 100, "meta": ""}
    builder.add_dev(device)
    builder.rebalance(seed=1)
    builder.get_ring().save(str(pathlib.Path(directory) / f"{kind}.ring.gz"))
