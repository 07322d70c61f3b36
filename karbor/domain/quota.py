"""Quota: how many things a project may have in Karbor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from karbor.domain.errors import OverQuota

PLANS = "plans"
CHECKPOINTS = "checkpoints"
KINDS = (PLANS, CHECKPOINTS)

UNLIMITED = -1
LARGEST = 2**31 - 1
DEFAULT_CLASS = "default"
"""The quota class whose limits are those of every project that has none of its own."""

Limits = Mapping[str, int]
"""Kind → how many; UNLIMITED: any number."""


@dataclass(frozen=True)
class Usage:
    """`in_use` is counted when it is asked for, never kept: so it cannot go wrong."""

    limit: int
    in_use: int


def must_fit(kind: str, in_use: int, limit: int) -> None:
    """Raise OverQuota when there is no room for one more."""
    if limit != UNLIMITED and in_use >= limit:
        raise OverQuota(f"Maximum number of {kind} allowed ({limit}) exceeded",
                        remedy="delete some, or ask an administrator for more")
