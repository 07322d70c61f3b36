"""karbor-bank.json in a container: what makes it a bank, and of which format."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from datetime import UTC, datetime

from karbor.domain.errors import (
    BadInput,
    CloudNotFound,
    NewerFormat,
    ObjectDamaged,
    ObjectExists,
    ObjectMissing,
)
from karbor.plugin.object_store import ObjectStore

NAME = "karbor-bank.json"
KIND = "karbor bank"
FORMAT = 1


def opened(store: ObjectStore, *, create: bool, now: float) -> str:
    """Return the bank's id. A container that is missing or has no bank becomes one if `create`;
    what else lies in it (checkpoints of Karbor 1.x) is left alone.

    Raises BadInput, NewerFormat, ObjectDamaged, CloudError, CredentialError.
    """
    raw = _raw(store)
    if raw is None:
        if not create:
            raise BadInput(f"{store.where} has no bank",
                           remedy="a new one is made with the option create")
        store.prepare()
        body = {"kind": KIND, "format": FORMAT, "id": str(uuid.uuid4()),
                "created": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")}
        with suppress(ObjectExists):        # another process was first
            store.put(NAME, json.dumps(body).encode() + b"\n", "application/json", absent=True)
        raw = _raw(store)
    return _understood(raw or b"", store.where)


def _raw(store: ObjectStore) -> bytes | None:
    try:
        return b"".join(store.get(NAME)[1])
    except (ObjectMissing, CloudNotFound):
        return None


def _understood(raw: bytes, where: str) -> str:
    try:
        found = json.loads(raw)
        kind, number, identity = found["kind"], int(found["format"]), str(found["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise ObjectDamaged(f"{NAME} in {where} cannot be understood",
                            remedy="docs/bank-format.md says what stands there") from error
    if kind != KIND:
        raise ObjectDamaged(f"{NAME} in {where} is of another program")
    if number > FORMAT:
        raise NewerFormat(f"the bank in {where} has the format {number}; this Karbor knows "
                          f"{FORMAT}", remedy="use the Karbor that made it, or a later one")
    return identity
