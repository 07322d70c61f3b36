"""karbor-bank.json: what makes a directory a bank, and of which format."""

from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from karbor.banks.disk_errors import translated
from karbor.banks.incoming import incoming_file
from karbor.banks.tree import sync_directory
from karbor.domain.errors import BadInput, NewerFormat, ObjectDamaged

FILE = "karbor-bank.json"
OBJECTS = "objects"
INCOMING = "incoming"
KIND = "karbor bank"
FORMAT = 1


def opened(root: Path, *, create: bool, now: float) -> str:
    """Return the bank's id. A directory that is missing or empty becomes a bank if `create`.

    Raises BadInput, NewerFormat, ObjectDamaged, BankError.
    """
    raw = _raw(root)
    if raw is None:
        if not create:
            raise BadInput(f"{root} is no bank",
                           remedy="is its file system mounted? A new bank is made with the option "
                                  "create")
        _create(root, now)
        raw = _raw(root)
    return _understood(raw or b"", root)


def _raw(root: Path) -> bytes | None:
    with translated(f"read {root / FILE}"):
        try:
            return (root / FILE).read_bytes()
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise BadInput(f"{root} is to be a bank, but is no directory") from None


def _understood(raw: bytes, root: Path) -> str:
    try:
        found = json.loads(raw)
        kind, number, identity = found["kind"], int(found["format"]), str(found["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise ObjectDamaged(f"{root / FILE} cannot be understood",
                            remedy="docs/bank-format.md says what stands there") from error
    if kind != KIND:
        raise ObjectDamaged(f"{root / FILE} is of another program")
    if number > FORMAT:
        raise NewerFormat(f"the bank {root} has the format {number}; this Karbor knows {FORMAT}",
                          remedy="use the Karbor that made it, or a later one")
    return identity


def _create(root: Path, now: float) -> None:
    """Make the directory a bank. Idempotent, and several processes may do it at once: the one whose
    description is linked first has made the bank. A bank whose making was cut off has no
    description yet."""
    with translated(f"make a bank of {root}", writing=True):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        present = {entry.name for entry in root.iterdir()}
        # A new file system has a directory lost+found.
        foreign = sorted(present - {OBJECTS, INCOMING, FILE, "lost+found"})
        if foreign:
            raise BadInput(f"{root} is no bank, and not empty: it has {foreign[0]}",
                           remedy="name a directory that is empty or does not exist")
        if OBJECTS in present and any((root / OBJECTS).iterdir()) and not (root / FILE).exists():
            raise BadInput(f"{root} has objects of a bank, but no {FILE}",
                           remedy="docs/bank-format.md says what stands there")
        for name in (OBJECTS, INCOMING):
            (root / name).mkdir(mode=0o700, exist_ok=True)
        body = {"kind": KIND, "format": FORMAT, "id": str(uuid.uuid4()),
                "created": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")}
        with incoming_file(root / INCOMING) as (fd, temporary):
            os.write(fd, json.dumps(body).encode() + b"\n")
            os.fsync(fd)
            with suppress(FileExistsError):     # another process was first
                os.link(temporary, root / FILE)
        sync_directory(root)
        sync_directory(root.parent)
