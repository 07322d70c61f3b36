"""Identifiers that sort by time (RFC 9562, UUID version 7)."""

from __future__ import annotations

import secrets
import uuid


def time_ordered_uuid(now: float) -> str:
    """Return a UUIDv7 for the moment `now` (seconds since the epoch): 48 bits of milliseconds,
    then chance. Checkpoint ids sort by their time, so a bank's listing needs no index beside it."""
    milliseconds = int(now * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
