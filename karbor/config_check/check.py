"""Everything that is wrong or doubtful about a configuration, at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from karbor import config
from karbor.config_check.accounts import accounts
from karbor.config_check.file_permissions import places
from karbor.config_check.files import auth_types, written
from karbor.config_check.unknown_options import spelling
from karbor.doctor.finding import Finding, Verdict
from karbor.domain.errors import BadInput
from karbor.known_options import known
from karbor.plugin import registry


def check(files: Sequence[Path] | None = None, *, online: bool = False) -> Iterator[Finding]:
    """Yield the findings about these files, or the usual ones. Without `online` nothing leaves this
    machine, and nothing on it is changed."""
    chosen = config.usual_files() if files is None else list(files)
    read = [written(path) for path in chosen]
    if not read:
        yield Finding("file", "", Verdict.OK, "no configuration file: every option has its default")
    options = known(auth_types(read))
    trouble = [*spelling(read, options), *accounts(read)]
    yield from trouble
    yield from _plugins()
    unread = [one for one in read if one.error]
    if not unread:
        yield from places(_lenient(chosen), read, options)
    try:
        conf = config.load(chosen)
    except BadInput as error:
        if not any(finding.verdict is Verdict.BROKEN for finding in trouble):
            yield Finding("configuration", "", Verdict.BROKEN, error.message, fix=error.remedy)
        if unread or online:
            yield Finding("the rest", "", Verdict.UNPROVEN, "it was not looked at",
                          fix="correct what is broken, and check again")
        return
    if online:
        from karbor.config_check.online import online as asked  # noqa: PLC0415 - openstacksdk: half a second

        yield from asked(conf)


def _plugins() -> Iterator[Finding]:
    """Yield plugins that are installed and cannot be loaded. A provider that names one says so by
    itself."""
    for broken in registry.broken():
        left_out = broken.namespace == registry.PROTECTABLES
        yield Finding(
            "plugin", broken.name, Verdict.BROKEN if left_out else Verdict.WARNING, str(broken),
            means=("nothing is protected until it can be loaded or is uninstalled" if left_out else
                   "providers that name it cannot be used; nothing else is kept from working"),
            fix="repair or uninstall the package that brings it")


def _lenient(files: Sequence[Path]) -> config.ConfigOpts:
    """Read the options without judging their values, which is done elsewhere: a bad one keeps
    nobody from the others."""
    conf = config.options()
    conf(args=[], project="karbor", default_config_files=[str(file) for file in files],
         default_config_dirs=[])
    return conf
