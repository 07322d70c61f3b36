"""Checking a provider: do its plugins load, and does its bank really do what banks promise?

The bank is written to, read, listed and cleared, below a place of its own that nothing else looks
at; what was written is removed whatever happens.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from blake3 import blake3

from karbor.domain.errors import BankError, KarborError, ObjectDamaged, ObjectExists
from karbor.operations.execution_context import Provider
from karbor.plugin import registry
from karbor.plugin.bank import Bank, Section, Stored
from karbor.providers.catalog import ProviderCatalog, ProviderInfo
from karbor.vault.project_vault import open_or_create_vault, open_vault

SMALL = 1000
LARGE = 6 * 1024 * 1024
"""More than any object that Karbor writes, and more than fits into one piece."""

FEW = 25

WRITERS = 4
LONGEST_SECONDS = 30.0
"""For which writers that shall begin together wait for each other."""


@dataclass(frozen=True)
class Finding:
    """One thing that was tried. `error` is what went wrong, if anything did; `said` what was found
    out."""

    what: str
    said: str = ""
    error: KarborError | None = None


def check(providers: ProviderCatalog, listed: ProviderInfo) -> Iterator[Finding]:
    """Yield the findings one after another, as they come."""
    for name in listed.plugins:
        yield _plugin(name)
    try:
        provider = providers.open(listed)
    except KarborError as error:
        yield Finding("bank", error=error)
        return
    yield from _bank(provider.bank)
    yield _vault(provider)


def _vault(provider: Provider) -> Finding:
    """Make a vault with the provider's key in a project of the check's own, and open it again."""
    project = f"check-{uuid.uuid4()}"
    location = provider.vault(project)
    try:
        made = open_or_create_vault(location)
        if open_vault(location) != made:
            raise ObjectDamaged("another vault was opened than was made")
    except KarborError as error:
        return Finding("vault", error=error)
    finally:
        with suppress(KarborError):
            section = location.section
            section.delete([stored.key for stored in section.all()])
    keys = provider.vault_keys
    return Finding("vault", "not encrypted" if keys.path is None else
                   f"encrypted with the {keys.encryption} {keys.path}")


def _plugin(name: str) -> Finding:
    try:
        plugin = registry.protection(name)
    except KarborError as error:
        return Finding(name, error=error)
    if plugin is None:
        return Finding(name, "of Karbor 1.x, not in this version: what it protected is left out")
    return Finding(name, ", ".join(sorted(plugin.types)))


def _bank(bank: Bank) -> Iterator[Finding]:
    section = Section(bank, f"checks/{uuid.uuid4()}")
    tries: Sequence[tuple[str, Callable[[Section], str]]] = (
        ("bank: write and read", _write_and_read), ("bank: put if absent", _absent),
        ("bank: list", _list), ("bank: large objects", _large))
    try:
        for what, attempt in tries:
            finding = _tried(what, attempt, section)
            yield finding
            if finding.error is not None:
                return      # what builds upon it would only fail as well
        yield _tried("bank: delete", _delete, section)
    finally:
        with suppress(KarborError):
            section.delete([stored.key for stored in section.all()])


def _tried(what: str, attempt: Callable[[Section], str], section: Section) -> Finding:
    try:
        return Finding(what, attempt(section))
    except KarborError as error:
        return Finding(what, error=error)


def _write_and_read(section: Section) -> str:
    return f"{_round_trip(section, 'small', SMALL)} bytes came back as they were"


def _large(section: Section) -> str:
    return f"{_round_trip(section, 'large', LARGE)} bytes came back as they were"


def _round_trip(section: Section, key: str, size: int) -> int:
    body = random.Random(size).randbytes(size)  # noqa: S311  bytes that nothing can compress
    stored = section.put(key, (body[at:at + 1_000_000] for at in range(0, size, 1_000_000)))
    expected = Stored(key, size, blake3(body).hexdigest())
    if stored != expected or section.stat(key) != expected:
        raise ObjectDamaged(f"the bank says of what it was given: {stored}, {section.stat(key)}; "
                            f"it was {expected}")
    if b"".join(section.get(key)) != body:
        raise ObjectDamaged("the bank gave back other bytes than it was given")
    return size


def _absent(section: Section) -> str:
    """Check that a second writer is refused, of small objects and of large ones, and that of
    several that write at the same time one succeeds. Stores of objects differ in what they
    understand of that."""
    for key, size in (("absent", SMALL), ("absent-large", LARGE)):
        section.put(key, [b"1" * size], absent=True)
        _refused(section, key, size)
    together = threading.Barrier(WRITERS)

    def attempt(number: int) -> bool:
        def body() -> Iterator[bytes]:
            with suppress(threading.BrokenBarrierError):    # one of them did not get so far
                together.wait(LONGEST_SECONDS)
            yield b"%d" % number
        try:
            section.put("absent-together", body(), absent=True)
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        written = sum(pool.map(attempt, range(WRITERS)))
    if written != 1:
        raise BankError(f"of {WRITERS} that wrote one object at the same time if it was absent, "
                        f"the bank told {written} that they have", remedy=_OVERWRITES)
    return f"a second writer is refused, and of {WRITERS} at the same time one succeeds"


_OVERWRITES = ("do not use this bank: checkpoints could overwrite each other. If it is an object "
               "service, look which one it is, and whether its lists show what it has confirmed")


def _refused(section: Section, key: str, size: int) -> None:
    try:
        section.put(key, [b"2" * size], absent=True)
    except ObjectExists:
        if b"".join(section.get(key)) == b"1" * size:
            return
        raise ObjectDamaged("a second writer was refused, and has written all the same",
                            remedy=_OVERWRITES) from None
    raise BankError(f"the bank let a second writer overwrite {size} bytes that were there already",
                    remedy=_OVERWRITES)


def _list(section: Section) -> str:
    keys = [f"list/{number:02d}" for number in range(FEW)]
    for key in keys:
        section.put(key, [b"x"])
    found = [stored.key for stored in section.all("list/")]
    if found != keys:
        raise BankError(f"of {FEW} objects the bank lists {len(found)}",
                        remedy="wait a moment and check again: it may be late")
    return f"{FEW} objects, in order"


def _delete(section: Section) -> str:
    keys = [stored.key for stored in section.all()]
    section.delete([*keys, "absent-from-the-beginning"])
    if left := section.list():
        raise BankError(f"{len(left)} of {len(keys)} objects are still listed",
                        remedy="wait a moment and check again: the list may be late")
    return f"{len(keys)} objects are gone"
