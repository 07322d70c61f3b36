"""What Cinder takes as metadata where it stores more, and whose metadata it shows. Pure but for
`own_metadata`.

The rules are those of Cinder's own schemas (cinder/api/validation/parameter_types.py): metadata
that came from Glance or from an older Cinder never passed through them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from karbor.plugin.cloud import Cloud
from karbor.protections.cached_lists import CachedLists

FLAGS = frozenset({"readonly", "attached_mode"})
"""Keys under which Cinder shows flags of its own among the user's metadata, over items of these
names."""

LONGEST_VALUE = 255
_KEY = re.compile(r"[a-zA-Z0-9-_:. /]{1,255}")


def own_metadata(cloud: Cloud, volume: Mapping[str, Any]) -> dict[str, str]:
    """Return the user's metadata of a volume, without Cinder's flags. Asks for that of the one
    volume only where the project has items of these names at all."""
    shown: dict[str, str] = dict(volume.get("metadata") or {})
    hidden = FLAGS & shown.keys()
    if not hidden:
        return shown
    used = CachedLists(cloud).volume_metadata_keys()
    if used is not None and not used & hidden:
        return {key: value for key, value in shown.items() if key not in FLAGS}
    own: dict[str, str] = cloud.api("cinder").get(f"/volumes/{volume['id']}/metadata")["metadata"]
    return own


def split_metadata(metadata: Mapping[str, str], *, longest: int | None = LONGEST_VALUE
                   ) -> tuple[dict[str, str], dict[str, str]]:
    """Return the items that Cinder takes, and the others; values of any length where `longest` is
    None."""
    taken = {key: value for key, value in metadata.items()
             if _KEY.fullmatch(key) and (longest is None or len(value) <= longest)}
    return taken, {key: value for key, value in metadata.items() if key not in taken}


def refused(volume: Mapping[str, Any]) -> list[str]:
    """Return what of a kept volume Cinder will not take back, in words."""
    _, metadata = split_metadata(volume.get("metadata") or {})
    _, properties = split_metadata(volume.get("image_metadata") or {}, longest=None)
    return [*(f"metadata {key}" for key in metadata),
            *(f"image property {key}" for key in properties)]
