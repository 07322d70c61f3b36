"""Identifiers that sort by time (RFC 9562, UUID version 7)."""

from __future__ import annotations

import hashlib
import secrets
import uuid


def time_ordered_uuid(now: float, name: str = "") -> str:
    """Return a UUIDv7 for the moment `now` (seconds since the epoch): 48 bits of milliseconds, then
    chance. Checkpoint ids sort by their time, so a bank's listing needs no index beside it.

    With a `name` the digest of the name stands where others have chance: whoever asks for the
    same moment and name, in whichever process, is given the same id.
    """
    chance = (int.from_bytes(hashlib.sha256(name.encode()).digest()[:10], "big") if name
              else secrets.randbits(80))
    value = (
        (int(now * 1000) & ((1 << 48) - 1)) << 80   # unix_ts_ms
        | 0x7 << 76                                 # ver
        | (chance >> 62 & 0xFFF) << 64              # rand_a
        | 0b10 << 62                                # var
        | chance & ((1 << 62) - 1)                  # rand_b
    )
    return str(uuid.UUID(int=value))
