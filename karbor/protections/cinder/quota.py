"""Whether Cinder's quotas leave room: asked before anything is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Obstacle

Size = tuple[str, int]      # volume type ("" if unknown), GiB


def protecting(volumes: Iterable[Size], cloud: Cloud) -> list[Obstacle]:
    """Return what quotas lack for a snapshot and a backup of each volume; all snapshots exist at
    the same time for a while."""
    needed: Counter[str] = Counter()
    for volume_type, size in volumes:
        needed.update({"snapshots": 1, "gigabytes": size, "backups": 1, "backup_gigabytes": size})
        if volume_type:
            needed.update({f"snapshots_{volume_type}": 1, f"gigabytes_{volume_type}": size})
    return _short(needed, cloud, snapshots_only=True)


def snapshotting(volumes: Iterable[Size], cloud: Cloud) -> list[Obstacle]:
    """Return what quotas lack for a snapshot of each volume."""
    needed: Counter[str] = Counter()
    for volume_type, size in volumes:
        needed.update({"snapshots": 1, "gigabytes": size})
        if volume_type:
            needed.update({f"snapshots_{volume_type}": 1, f"gigabytes_{volume_type}": size})
    return _short(needed, cloud, snapshots_only=True)


def restoring(volumes: Iterable[Size], cloud: Cloud) -> list[Obstacle]:
    """Return what quotas lack for a new volume of each."""
    needed: Counter[str] = Counter()
    for volume_type, size in volumes:
        needed.update({"volumes": 1, "gigabytes": size})
        if volume_type:
            needed.update({f"volumes_{volume_type}": 1, f"gigabytes_{volume_type}": size})
    return _short(needed, cloud, snapshots_only=False)


def _short(needed: Mapping[str, int], cloud: Cloud, *, snapshots_only: bool) -> list[Obstacle]:
    if not needed:
        return []
    quota = cloud.api("cinder").get(f"/os-quota-sets/{cloud.project_id}",
                                    params={"usage": "true"})["quota_set"]
    missing = [name for name in sorted(needed) if _beyond(quota.get(name), needed[name])]
    if snapshots_only and any(name.startswith("gigabytes") for name in missing) \
            and _snapshots_are_free(quota, cloud):
        missing = [name for name in missing if not name.startswith("gigabytes")]
    return [Obstacle(
        f"the quota of {name} has {_free(quota[name])} left of {quota[name]['limit']}, and "
        f"{needed[name]} are needed", remedy="delete something, or ask the cloud's operator for "
        "more") for name in missing]


def _free(one: Mapping[str, Any]) -> int:
    return int(one["limit"]) - int(one["in_use"]) - int(one.get("reserved") or 0)


def _beyond(one: Mapping[str, Any] | None, more: int) -> bool:
    return one is not None and int(one["limit"]) >= 0 and _free(one) < more


def _snapshots_are_free(quota: Mapping[str, Any], cloud: Cloud) -> bool:
    """Return whether this cloud does not count snapshots as gigabytes (its
    no_snapshot_gb_quota). Users cannot ask for that; but snapshots that exist and are not in the
    sum tell it."""
    def gigabytes(listed: Sequence[Mapping[str, Any]]) -> int:
        return sum(int(one["size"]) for one in listed)

    snapshots = gigabytes(cloud.api("cinder").list("/snapshots/detail", "snapshots"))
    volumes = gigabytes(cloud.api("cinder").list("/volumes/detail", "volumes"))
    return snapshots > 0 and int(quota["gigabytes"]["in_use"]) < volumes + snapshots
