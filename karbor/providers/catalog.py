"""Providers: those of the files, or the built-in one; each opened at its first use."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from karbor import config
from karbor.domain.errors import BadInput, NotFound, UnknownName
from karbor.domain.operation import Operation
from karbor.operations.execution_context import Provider
from karbor.plugin import registry
from karbor.plugin.bank import Bank
from karbor.providers import builtin
from karbor.providers.directory import ProviderDirectory
from karbor.providers.provider_file import ProviderFile
from karbor.providers.vault_options import vault_keys

if TYPE_CHECKING:
    from karbor.clients.swift_account import SwiftAccount
    from karbor.credentials.authority import Authority

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProviderInfo:
    """A provider as it is described, not yet opened. `file` is empty for the built-in one."""

    id: str
    name: str
    description: str
    bank: str
    plugins: tuple[str, ...]
    file: str = ""
    enabled: bool = True


class ProviderCatalog:
    """Of one process. `authority` logs in for banks that are a service. Safe for threads.

    An operation keeps the provider that it began with: in this process the very same, in another
    one that of the same id, whatever the default is then, and also when it has been disabled.
    """

    def __init__(self, conf: config.ConfigOpts, authority: Callable[[], Authority]) -> None:
        self._conf = conf
        self._authority = authority
        path, named = config.provider_directory(conf)
        self._directory = ProviderDirectory(path, must_exist=named, told=_tell)
        self._opened: dict[str, tuple[ProviderFile | None, Provider]] = {}
        self._of: dict[str, Provider] = {}
        self._accounts: list[SwiftAccount] = []
        self._lock = threading.RLock()

    # ------------------------------------------------------------------ what there is
    def list(self) -> list[ProviderInfo]:
        """Return all providers in order of their names; the disabled ones as well."""
        files = self._files()
        if not files and not self.broken:
            return [ProviderInfo(builtin.ID, builtin.NAME, builtin.DESCRIPTION, builtin.BANK,
                                 builtin.PROTECTIONS)]
        return sorted(
            (
                ProviderInfo(
                    file.id,
                    file.name,
                    file.description,
                    file.bank,
                    tuple(file.plugins),
                    str(file.path),
                    file.enabled,
                )
                for file in files
            ),
            key=lambda info: info.name.lower(),
        )

    @property
    def broken(self) -> tuple[BadInput, ...]:
        """What is wrong with files that therefore do not count."""
        return self._directory.files().broken

    def find(self, name_or_id: str) -> ProviderInfo:
        """Return the provider of this name or id. Raises UnknownName."""
        known = self.list()
        for info in known:
            if name_or_id in (info.id, info.name):
                return info
        raise UnknownName(f"there is no provider {name_or_id}{self._but()}",
                          remedy="there are: " + ", ".join(info.name for info in known))

    def default(self) -> ProviderInfo:
        """Return the one that [DEFAULT] default_provider names, or the only one. Raises
        BadInput."""
        named = self._conf.default_provider
        if named:
            return self._enabled(self.find(named))
        enabled = [info for info in self.list() if info.enabled]
        if not enabled:
            raise BadInput(f"no provider in {self._directory.path} is enabled{self._but()}",
                           remedy="set enabled = True in one of them")
        if len(enabled) > 1:
            raise BadInput(
                "there are several providers: " + ", ".join(info.name for info in enabled),
                remedy="name one with --provider, or set [DEFAULT] default_provider")
        return enabled[0]

    def _but(self) -> str:
        broken = self.broken
        return f" ({broken[0].message})" if broken else ""

    @staticmethod
    def _enabled(info: ProviderInfo) -> ProviderInfo:
        if not info.enabled:
            raise BadInput(f"the provider {info.name} is disabled",
                           remedy=f"set enabled = True in {info.file}")
        return info

    # ------------------------------------------------------------------ those that work
    def choose(self, name_or_id: str | None) -> Provider:
        """Return the provider that is named, or the default, for something new. Raises BadInput,
        BankError."""
        return self.open(self._enabled(self.find(name_or_id)) if name_or_id else self.default())

    def of(self, operation: Operation) -> Provider:
        """Return the provider of an operation. Raises NotFound when no file describes it any more:
        then nothing is done with it."""
        with self._lock:
            if operation.id not in self._of:
                self._of[operation.id] = self.open(self._listed_for(operation))
            return self._of[operation.id]

    def forget(self, operation: Operation) -> None:
        """Forget an operation for which nothing more is done here."""
        with self._lock:
            self._of.pop(operation.id, None)

    def of_id(self, provider_id: str) -> Provider:
        """Return the provider of this id, for an operation that was begun with it. Raises as
        `of`."""
        return self.open(self._described(provider_id, "an operation was begun"))

    def _listed_for(self, operation: Operation) -> ProviderInfo:
        # Begun before operations said so, when there was the built-in one only.
        wanted = operation.request.get("provider_id") or builtin.ID
        return self._described(wanted, f"operation {operation.id} was begun")

    def _described(self, wanted: str, what: str) -> ProviderInfo:
        for info in self.list():
            if info.id == wanted:
                return info
        if wanted == builtin.ID:
            return ProviderInfo(builtin.ID, builtin.NAME, builtin.DESCRIPTION, builtin.BANK,
                                builtin.PROTECTIONS)
        raise NotFound(f"{what} with the provider {wanted}, which no file in "
                       f"{self._directory.path} describes{self._but()}",
                       remedy="put its file back; then go on")

    def open(self, listed: ProviderInfo) -> Provider:
        """Return the same object as long as its file does not change. Raises BadInput,
        BankError."""
        with self._lock:
            file = next((one for one in self._files() if str(one.path) == listed.file), None)
            kept = self._opened.get(listed.id)
            if kept is None or kept[0] is not file:
                made = builtin.built_in(self._conf) if file is None else self._made(file)
                self._opened[listed.id] = kept = (file, made)
            return kept[1]

    def _made(self, file: ProviderFile) -> Provider:
        try:
            return Provider(file.id, file.name, self._bank(file),
                            registry.protections(["karbor-project-protection-plugin",
                                                  *file.plugins]),
                            vault_keys(file.sections), config.vault_index(self._conf))
        except BadInput as error:
            raise BadInput(f"{file.path}: {error.message}", remedy=error.remedy) from error

    def _bank(self, file: ProviderFile) -> Bank:
        plugin = registry.bank(file.bank)
        options: dict[str, Any] = dict(file.sections.get(plugin.section, {}))
        if plugin.service == "swift":
            options["open_store"] = self._swift(file.sections)
        elif plugin.service:
            raise BadInput(f"the bank {file.bank} wants the service {plugin.service}, which Karbor "
                           "does not know")
        return plugin(options)

    def _swift(self, sections: Mapping[str, Mapping[str, str]]) -> SwiftAccount:
        from karbor.clients.swift_account import SECTION, SwiftAccount  # noqa: PLC0415 - openstacksdk: half a second

        account = SwiftAccount(self._authority, sections.get(SECTION, {}))
        self._accounts.append(account)
        return account

    def _files(self) -> tuple[ProviderFile, ...]:
        return self._directory.files().good

    def close(self) -> None:
        for account in self._accounts:
            account.close()


def _tell(error: BadInput) -> None:
    LOG.warning("a provider is left out: %s", error)
