"""Checking a provider: do its plugins load, and does its bank really do what banks promise?

The bank is written to, read, listed and cleared, below a place of its own that nothing else looks
at; what was written is removed whatever happens.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from blake3 import blake3

from karbor.cmd.providers import Listed, Providers
from karbor.domain.errors import BankError, KarborError, ObjectDamaged, ObjectExists
from karbor.plugin import registry
from karbor.plugin.bank import Bank, Section, Stored

SMALL = 1000
LARGE = 6 * 1024 * 1024
"""More than any object that Karbor writes, and more than fits into one piece."""

FEW = 25


@dataclass(frozen=True)
class Finding:
    """One thing that was tried. `error` is what went wrong, if anything did; `said` what was found
    out."""

    what: str
    said: str = ""
    error: KarborError | None = None


def check(providers: Providers, listed: Listed) -> Iterator[Finding]:
    """One after another, as they come."""
    for name in listed.plugins:
        yield _plugin(name)
    try:
        bank = providers.open(listed).bank
    except KarborError as error:
        yield Finding("bank", error=error)
        return
    yield from _bank(bank)


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
            section.delete([one.key for one in section.all()])


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
    section.put("absent", [b"first"], absent=True)
    try:
        section.put("absent", [b"second"], absent=True)
    except ObjectExists:
        if b"".join(section.get("absent")) == b"first":
            return "the second writer was refused"
        raise ObjectDamaged("a second writer was refused, and has written all the same") from None
    raise BankError("the bank let a second writer overwrite what was there already")


def _list(section: Section) -> str:
    keys = [f"list/{number:02d}" for number in range(FEW)]
    for key in keys:
        section.put(key, [b"x"])
    found = [one.key for one in section.all("list/")]
    if found != keys:
        raise BankError(f"of {FEW} objects the bank lists {len(found)}",
                        remedy="wait a moment and check again: it may be late")
    return f"{FEW} objects, in order"


def _delete(section: Section) -> str:
    keys = [one.key for one in section.all()]
    section.delete([*keys, "absent-from-the-beginning"])
    if left := section.list():
        raise BankError(f"{len(left)} of {len(keys)} objects are still listed",
                        remedy="wait a moment and check again: the list may be late")
    return f"{len(keys)} objects are gone"
