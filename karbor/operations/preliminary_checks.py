"""What can be said beforehand of who asks and of where it goes, without asking the cloud."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from karbor.domain.caller import Caller
from karbor.domain.errors import VaultSealed
from karbor.domain.resource import Resource
from karbor.operations.execution_context import Provider
from karbor.plugin.bank import Measured
from karbor.plugin.protection import Obstacle
from karbor.vault import ensure_key

MIB = 1 << 20


def rights(caller: Caller, reader_roles: Collection[str], doing: str) -> list[Obstacle]:
    """Return what keeps a caller from making things: no role but those that only read."""
    if not caller.roles or not set(caller.roles) <= set(reader_roles):
        return []
    return [Obstacle(
        f"{caller.user_name or caller.user_id} has no role in project "
        f"{caller.project_name or caller.project_id} but {', '.join(sorted(caller.roles))}, which "
        f"only reads: the cloud would refuse {doing}",
        "ask for the role member (whoever runs Karbor says in [credentials] reader_roles which "
        "roles only read)")]


def vault_key(provider: Provider, project_id: str) -> list[Obstacle]:
    """Return what keeps the project's vault from being opened with the provider's key. Raises
    BankError."""
    try:
        ensure_key(provider.vault(project_id))
    except VaultSealed as error:
        return [Obstacle(error.message, error.remedy)]
    return []


def room(provider: Provider, resources: Iterable[Resource]) -> list[str]:
    """Return a warning where a bank has less room than may be needed: how far the bytes can be
    compressed is known when they have been."""
    bank = provider.bank
    needed = sum(
        provider.protections[resource.type].stored_bytes(resource) or 0 for resource in resources
    )
    if not needed or not isinstance(bank, Measured):
        return []
    left = bank.room()
    if left is None or left >= needed:
        return []
    return [(f"the bank of provider {provider.name} has room for {left / MIB:,.1f} MiB, and up to "
             f"{needed / MIB:,.1f} MiB will be written to it, less as far as they can be "
             "compressed: make room in it, or raise its quota")]
