"""Where operations take place: what the doors wire together for the verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from karbor.domain.errors import KarborError
from karbor.domain.operation import Operation
from karbor.plugin.bank import Bank
from karbor.plugin.cloud import Cloud
from karbor.plugin.protectable import Protectable
from karbor.plugin.protection import Protection


@dataclass(frozen=True)
class Provider:
    """One bank, and one protection per resource type."""

    id: str
    name: str
    bank: Bank
    protections: Mapping[str, Protection]


@dataclass(frozen=True)
class Setting:
    """`connect` gives the cloud as the operation's caller sees it, also in another process than
    the one that accepted the operation. `ended` tells why an operation must not go on, when its
    credential has come to its end. `slowest_rate` is in MiB/s (see estimate)."""

    provider: Provider
    protectables: Mapping[str, Protectable]
    connect: Callable[[Operation], Cloud]
    clock: Callable[[], float]
    limits: Mapping[str, int] = field(default_factory=dict)
    ended: Callable[[Operation], KarborError | None] = lambda _operation: None
    slowest_rate: float = 20.0
