"""Where operations take place: what the doors wire together for the verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from karbor.domain.errors import KarborError, NotFound
from karbor.domain.operation import Operation
from karbor.engine.concurrency_limits import Limit
from karbor.plugin.bank import Bank, Section
from karbor.plugin.cloud import Cloud
from karbor.plugin.protectable import Protectable
from karbor.plugin.protection import Protection
from karbor.plugin.vault_location import NO_KEYS, VaultKeySource, VaultLocation


@dataclass(frozen=True)
class Provider:
    """One bank, and one protection per resource type. `vault_keys` open the projects' vaults in the
    bank; `vault_index` is the directory where this machine caches what is in them (None: in
    memory)."""

    id: str
    name: str
    bank: Bank
    protections: Mapping[str, Protection]
    vault_keys: VaultKeySource = NO_KEYS
    vault_index: Path | None = None

    def vault(self, project_id: str) -> VaultLocation:
        """Return where a project's vault is."""
        return VaultLocation(Section(self.bank, f"projects/{project_id}"), self.vault_keys,
                             self.vault_index)


def _no_other(provider_id: str) -> Provider:
    raise NotFound(f"there is no provider {provider_id}")


@dataclass(frozen=True)
class ExecutionContext:
    """`connect` gives the cloud as the operation's caller sees it, also in another process than
    the one that accepted the operation. `ended` tells why an operation must not go on, when its
    credential has come to its end. `slowest_rate` is in MiB/s (see estimate). `providers` gives
    another provider by its id, whether it is enabled or not: a copy is made by the one that gets
    it, and reads from another. It raises NotFound, BadInput, BankError. `waits` are the seconds
    that waits of a kind may last (see `plugin.protection.Stage.waits`); `made_anew` is how often a
    stage that a service broke off is made anew, `made_anew_pause` seconds after it.
    `reader_roles` are those that only read."""

    provider: Provider
    protectables: Mapping[str, Protectable]
    connect: Callable[[Operation], Cloud]
    clock: Callable[[], float]
    limits: Mapping[str, Limit] = field(default_factory=dict)
    ended: Callable[[Operation], KarborError | None] = lambda _operation: None
    slowest_rate: float = 20.0
    providers: Callable[[str], Provider] = _no_other
    waits: Mapping[str, float] = field(default_factory=dict)
    made_anew: int = 2
    made_anew_pause: float = 0.0
    reader_roles: frozenset[str] = frozenset({"reader"})
