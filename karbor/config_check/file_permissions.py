"""Files and directories that the configuration names: are they there, whose are they, and who else
may read them? Nothing is made or changed."""

from __future__ import annotations

import importlib.util
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from karbor import config
from karbor.config_check.files import Written
from karbor.credentials.seal import Seal
from karbor.doctor.finding import Finding, Verdict
from karbor.domain.errors import BadInput, KarborError
from karbor.known_options import Known
from karbor.plugin import registry
from karbor.providers.directory import ProviderDirectory
from karbor.providers.provider_file import ProviderFile
from karbor.store.connect import described

OTHERS_READ, OTHERS_WRITE = stat.S_IROTH, stat.S_IWOTH
_SECRET = ("password", "secret", "swift_key", "token")


def places(conf: config.ConfigOpts, files: Sequence[Written], known: Known) -> Iterator[Finding]:
    for file in files:
        secret = any((option := known.option(section, name)) is not None and option.secret
                     for section, options in file.sections.items() for name in options)
        yield from _mode("file", file.path, secret)
    yield from _state(config.state_path(conf))
    yield from _key(config.key_file(conf))
    yield _database(config.database_url(conf))
    yield from _providers(conf)


def _mode(check: str, path: Path, secret: bool) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode
    except OSError:
        return      # said already, by whoever read it
    if secret and mode & OTHERS_READ:
        yield Finding(check, str(path), Verdict.BROKEN,
                      f"holds passwords, and anybody may read it (mode {stat.S_IMODE(mode):o})",
                      means="whoever has an account here has these passwords",
                      fix=f"chmod o= {path}; if others could read it, change the passwords")
    elif mode & OTHERS_WRITE:
        yield Finding(check, str(path), Verdict.BROKEN,
                      f"anybody may write it (mode {stat.S_IMODE(mode):o})", fix=f"chmod o= {path}")
    else:
        yield Finding(check, str(path), Verdict.OK, f"read; mode {stat.S_IMODE(mode):o}")


def _state(path: Path) -> Iterator[Finding]:
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    me = pwd.getpwuid(os.geteuid()).pw_name
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        yield Finding("state_path", str(path), Verdict.BROKEN, f"{me} may not write to {there}",
                      fix=f"chown {me}: {there}, or set [DEFAULT] state_path")
        return
    owner = there.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        name = pwd.getpwuid(owner).pw_name
        yield Finding("state_path", str(path), Verdict.UNPROVEN,
                      f"belongs to {name}, whose rights root does not try",
                      fix=f"check again as {name}: setpriv --reuid={name} --regid={name} "
                          "--init-groups karbor config check")
        return
    yield Finding("state_path", str(path), Verdict.OK,
                  f"{me} may write" + ("" if there == path else f"; will be made in {there}"))


def _key(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield Finding("key_file", str(path), Verdict.OK, "not there yet: made at the first use")
        return
    try:
        Seal(path).seal("")     # what is there is read, and judged; nothing is made
    except KarborError as error:
        yield Finding("key_file", str(path), Verdict.BROKEN, error.message, fix=error.remedy)
    else:
        yield Finding("key_file", str(path), Verdict.OK, "for its owner only; its keys seal")


def _database(url: str) -> Finding:
    try:
        shown, file = described(url)
    except BadInput as error:
        return Finding("database", "[database] connection", Verdict.BROKEN, error.message,
                       fix=error.remedy)
    if file is None and importlib.util.find_spec("psycopg") is None:
        return Finding("database", shown, Verdict.BROKEN, "the driver for PostgreSQL is missing",
                       fix="pip install 'karbor[postgresql]'")
    if file is not None and not file.is_absolute():
        return Finding("database", shown, Verdict.WARNING, "the path is a relative one",
                       means="each directory that Karbor is started in has another database",
                       fix="sqlite:////PATH has four slashes")
    return Finding("database", shown, Verdict.OK,
                   "for processes on this machine" if file else "for processes on any machine")


# -------------------------------------------------------------------- providers
def _providers(conf: config.ConfigOpts) -> Iterator[Finding]:
    path, named = config.provider_directory(conf)
    try:
        shelved = ProviderDirectory(path, must_exist=named).files()
    except BadInput as error:
        yield Finding("providers", str(path), Verdict.BROKEN, error.message, fix=error.remedy)
        return
    for broken in shelved.broken:
        yield Finding("provider", str(path), Verdict.BROKEN, broken.message, fix=broken.remedy)
    for file in shelved.good:
        yield from _provider(file)
    enabled = [one for one in shelved.good if one.enabled]
    default = conf.default_provider
    if not shelved.good and not shelved.broken:
        yield Finding("providers", str(path), Verdict.OK, "no file: the built-in provider is used")
        names = {"karbor"}
    elif not enabled:
        yield Finding("providers", str(path), Verdict.BROKEN, "none of them is enabled",
                      means="nothing can be protected", fix="set enabled = True in one of them")
        return
    else:
        names = {word for one in enabled for word in (one.id, one.name)}
    if default and default not in names:
        yield Finding("providers", "[DEFAULT] default_provider", Verdict.BROKEN,
                      f"{default} is none that is enabled",
                      fix=f"one of: {', '.join(sorted(names))}")


def _provider(file: ProviderFile) -> Iterator[Finding]:
    secret = any(word in name for options in file.sections.values() for name in options
                 for word in _SECRET)
    yield from (finding for finding in _mode("provider", file.path, secret)
                if finding.verdict is not Verdict.OK)
    trouble = list(_plugins(file))
    yield from trouble
    if not trouble:
        yield Finding("provider", file.name, Verdict.OK,
                      f"{file.bank}, {len(file.plugins)} plugins"
                      + ("" if file.enabled else "; disabled"))


def _plugins(file: ProviderFile) -> Iterator[Finding]:
    def broken(error: KarborError) -> Finding:
        return Finding("provider", str(file.path), Verdict.BROKEN, error.message, fix=error.remedy)

    for name in file.plugins:
        try:
            if registry.protection(name) is None:
                yield Finding("provider", str(file.path), Verdict.WARNING,
                              f"{name} of Karbor 1.x is not in this version",
                              means="what it protected is left out")
        except KarborError as error:
            yield broken(error)
    try:
        plugin = registry.bank(file.bank)
        sections = {plugin.section} | ({f"{plugin.service}_client"} if plugin.service else set())
        for other in sorted(section for section in file.sections
                            if section.endswith("_bank_plugin") and section not in sections):
            yield Finding("provider", str(file.path), Verdict.WARNING,
                          f"[{other}] belongs to another bank than {file.bank}",
                          means="it has no effect")
    except KarborError as error:
        yield broken(error)
