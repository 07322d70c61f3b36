"""Images without data: what Nova makes of a server that boots from a volume.

Such an image has 0 bytes and names snapshots in Cinder, of which a server is built that boots from
a new volume. Of that server Nova goes on saying that it was booted from the image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAPPING = "block_device_mapping"


def data_elsewhere(image: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return where the data of an image is, if not in itself, as Glance shows it (or as
    `properties` of it): (`snapshot`, `volume` or `image`, id) for each of its block devices. What
    cannot be understood is taken for a device of which nobody knows where it is."""
    told = image.get(MAPPING)
    if not told:
        return []
    try:
        devices = json.loads(told) if isinstance(told, str) else told
        return [(kind, str(device[f"{kind}_id"])) for device in devices
                for kind in ("snapshot", "volume", "image") if device.get(f"{kind}_id")]
    except (ValueError, TypeError, AttributeError):
        return [("volume", "unknown")]


def named(elsewhere: list[tuple[str, str]]) -> str:
    """Return the places of an image's data in words."""
    return ", ".join(f"{kind} {id}" for kind, id in elsewhere)
