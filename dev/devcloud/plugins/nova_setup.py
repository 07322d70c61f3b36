"""Nova's tables, cells, host and flavors in one process instead of five runs of nova-manage.

Arguments: configuration file, URLs of the databases of cell 0 and cell 1, transport URL.
"""

from nova import monkey_patch

monkey_patch.patch(backend="threading")  # before anything else

import sys  # noqa: E402

from nova import config, context, objects  # noqa: E402
from nova.db import migration  # noqa: E402
from oslo_utils import uuidutils  # noqa: E402


def main(conf, cell0, cell1, transport):
    config.parse_args(["nova-manage", "--config-file", conf])
    objects.register_all()
    migration.db_sync(database="api")
    admin = context.get_admin_context()
    for uuid, name, url, bus in (
        (objects.CellMapping.CELL0_UUID, "cell0", cell0, "none:///"),
        (uuidutils.generate_uuid(), "cell1", cell1, transport),
    ):
        cell = objects.CellMapping(
            admin, uuid=uuid, name=name, database_connection=url, transport_url=bus, disabled=False
        )
        cell.create()
        with context.target_cell(admin, cell) as inside:
            migration.db_sync(context=inside)
    # what `nova-manage cell_v2 discover_hosts` would do when nova-compute has reported
    objects.HostMapping(admin, host="devcloud", cell_mapping=cell).create()
    for number, (name, memory, disk) in enumerate(
        (("m1.nano", 128, 1), ("m1.tiny", 512, 1), ("m1.zero", 128, 0)), 1
    ):
        objects.Flavor(
            admin,
            flavorid=str(number),
            name=name,
            memory_mb=memory,
            root_gb=disk,
            vcpus=1,
            ephemeral_gb=0,
            swap=0,
            rxtx_factor=1.0,
            is_public=True,
            disabled=False,
        ).create()


main(*sys.argv[1:])
