"""Look after the vaults in a provider's bank, project by project: garbage, proofs, figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from karbor.domain.errors import KarborError
from karbor.operations.execution_context import Provider
from karbor.plugin.bank import Bank
from karbor.vault.collection import CollectionReport, collect, last_collected
from karbor.vault.statistics import VaultStatistics, statistics
from karbor.vault.verification import VaultVerification, verify_vault

_PROJECTS = "projects/"
_BEHIND = "/~"
"""Sorts behind every key of a project: no key has this character."""


def projects_of(bank: Bank) -> Iterator[str]:
    """Yield the projects that have anything in a bank; one request for each of them."""
    after = ""
    while page := bank.list(_PROJECTS, after=after, limit=1):
        project_id = page[0].key.split("/", 2)[1]
        yield project_id
        after = f"{_PROJECTS}{project_id}{_BEHIND}"


def vault_statistics(provider: Provider, project_ids: Sequence[str] = ()
                     ) -> Iterator[tuple[str, VaultStatistics | KarborError]]:
    """Yield, for these projects or all that the bank has, what their checkpoints take, or why that
    cannot be told. Raises BankError when the bank itself cannot be listed."""
    for project_id in project_ids or projects_of(provider.bank):
        try:
            yield project_id, statistics(provider.vault(project_id))
        except KarborError as error:
            yield project_id, error


def verify_vaults(provider: Provider, project_ids: Sequence[str] = (), *, sample: float = 1.0
                  ) -> Iterator[tuple[str, VaultVerification | KarborError]]:
    """Yield, for these projects or all that the bank has, what was read back of their vaults, or
    why nothing could be. Raises BankError when the bank itself cannot be listed."""
    for project_id in project_ids or projects_of(provider.bank):
        try:
            yield project_id, verify_vault(provider.vault(project_id), sample=sample)
        except KarborError as error:
            yield project_id, error


def collect_vaults(provider: Provider, project_ids: Sequence[str] = (), *, dry_run: bool = False,
                   pause: float = 0.0, stopping: Callable[[], bool] = lambda: False,
                   clock: Callable[[], float] = time.time
                   ) -> Iterator[tuple[str, CollectionReport | KarborError]]:
    """Yield, for these projects or all that the bank has, what was collected or why nothing could
    be. Vaults whose last collection began less than `pause` seconds ago are left out, whoever has
    collected them. Raises BankError when the bank itself cannot be listed."""
    for project_id in project_ids or projects_of(provider.bank):
        if stopping():
            return
        location = provider.vault(project_id)
        try:
            last = last_collected(location.section) if pause else None
            if last is not None and 0 <= clock() - last < pause:
                continue
            yield project_id, collect(location, dry_run=dry_run, clock=clock)
        except KarborError as error:
            yield project_id, error
