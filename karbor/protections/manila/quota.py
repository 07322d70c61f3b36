"""Whether Manila's quotas leave room: asked before anything is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Obstacle

Size = tuple[str, int]      # share type, GiB


def snapshotting(shares: Iterable[Size], cloud: Cloud) -> list[Obstacle]:
    """Return what quotas lack for a snapshot of each share."""
    return _short(shares, ("snapshots", "snapshot_gigabytes"), cloud)


def restoring(shares: Iterable[Size], cloud: Cloud) -> list[Obstacle]:
    """Return what quotas lack for a new share of each."""
    return _short(shares, ("shares", "gigabytes"), cloud)


def _short(shares: Iterable[Size], names: tuple[str, str], cloud: Cloud) -> list[Obstacle]:
    """Return the project's quota, and that of each share type: one request for each."""
    count, gigabytes = names
    needed: dict[str, Counter[str]] = {}
    for share_type, size in shares:
        for whose in ("", share_type):
            needed.setdefault(whose, Counter()).update({count: 1, gigabytes: size})
    obstacles = []
    for whose, wanted in needed.items():
        params = {"share_type": whose} if whose else {}
        quota = cloud.api("manila").get(f"/quota-sets/{cloud.project_id}/detail",
                                        params=params)["quota_set"]
        obstacles += [_obstacle(name, whose, quota[name], wanted[name]) for name in names
                      if _beyond(quota.get(name), wanted[name])]
    return obstacles


def _obstacle(name: str, share_type: str, one: Mapping[str, Any], wanted: int) -> Obstacle:
    of = f"{name} of share type {share_type}" if share_type else name.replace("_", " ")
    return Obstacle(f"Manila's quota of {of} has {_free(one)} left of {one['limit']}, and {wanted} "
                    "are needed",
                    remedy="delete something, or ask the cloud's operator for more")


def _free(one: Mapping[str, Any]) -> int:
    return int(one["limit"]) - int(one["in_use"]) - int(one.get("reserved") or 0)


def _beyond(one: Mapping[str, Any] | None, more: int) -> bool:
    return one is not None and int(one["limit"]) >= 0 and _free(one) < more
