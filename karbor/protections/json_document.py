"""One JSON object per resource in the bank: written by a protect, read back by a verify."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from karbor.domain.checkpoint import Evidence
from karbor.domain.errors import NewerFormat, ObjectDamaged
from karbor.domain.step import Done, Outcome
from karbor.plugin.bank import Section
from karbor.plugin.protection import Task, Work

FORMAT = 1


def write(bank: Section, key: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Put the document; returns what the summary keeps of it (key, size in bytes, checksum)."""
    body = json.dumps({"format": FORMAT, **document}, sort_keys=True).encode()
    stored = bank.put(key, [body])
    return {"key": stored.key, "size": stored.size, "checksum": stored.checksum}


def read(bank: Section, key: str) -> dict[str, Any]:
    """Return the document, read to its end so that its checksum is verified before anything is
    done with it. Raises ObjectMissing, ObjectDamaged, NewerFormat."""
    body = b"".join(bank.get(key))
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ObjectDamaged(f"{key} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ObjectDamaged(f"{key} does not hold an object")
    if document.get("format", 0) > FORMAT:
        raise NewerFormat(f"{key} has the format {document['format']}, and {FORMAT} is the newest "
                          "known here", remedy="use the Karbor that wrote it, or a later one")
    return document


class ReadBack(Task):
    """Reads the object that the protect stage `of` wrote and compares it with what that saved."""

    name = "read_back"

    def __init__(self, of: str) -> None:
        self.of = of

    def run(self, work: Work) -> Outcome:
        summary = work.kept(self.of) or work.saved(self.of)
        expected = summary["object"]
        document = read(work.bank, expected["key"])
        stored = work.bank.stat(expected["key"])
        if stored is None or (stored.size, stored.checksum) != (expected["size"],
                                                                expected["checksum"]):
            raise ObjectDamaged(f"{expected['key']} is not the object that the checkpoint tells of",
                                resource=work.resource.key)
        if document.get("id") != summary["id"]:
            raise ObjectDamaged(f"{expected['key']} belongs to {document.get('id')}, not to "
                                f"{summary['id']}", resource=work.resource.key)
        return Done({"evidence": Evidence.CHECKSUMS.value, "unproved": ""})
