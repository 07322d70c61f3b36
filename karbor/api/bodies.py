"""Bodies: JSON ↔ the Structs of a resource, and the texts that may stand in them."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Annotated, Any, TypeVar

import falcon
import msgspec
from msgspec import Meta

from karbor.domain.errors import BadInput

T = TypeVar("T")

UUID_PATTERN = ("^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}"
                "-?[0-9a-fA-F]{12}$")
_UUID = re.compile(UUID_PATTERN)
# `$` also matches before a newline at the end: \Z does not exist in JSON Schema.
_CONTROL = r"\x00-\x1f\x7f"

Uuid = Annotated[str, Meta(pattern=UUID_PATTERN, max_length=36)]
Name = Annotated[str, Meta(min_length=1, max_length=255,
                           pattern=rf"^[^{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*$")]
"""Not blank, without control characters."""
Description = Annotated[str, Meta(max_length=255, pattern=rf"^[^{_CONTROL}]*$")]
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern="^[a-zA-Z0-9-_:.# ]{1,255}$")]
"""The name of a member of `parameters` or `extra-info`."""
Scalar = bool | str | int

DEPTH = 64
"""Lists and objects within each other that a body may have: far beyond what anything means here,
and far below what Python's own functions, the database and a bank's readers can follow."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_TEXTS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS = [(byte in b"[{") - (byte in b"]}") for byte in range(256)]


class Nothing(msgspec.Struct):
    """An answer that says nothing but that it was done."""


def decode(request: falcon.Request, wanted: type[T], longest: int) -> T:
    """Raises BadInput for another content type, no JSON, or JSON that is not what is wanted;
    HTTPContentTooLarge for more than `longest` bytes."""
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    raw = request.bounded_stream.read(longest + 1)
    if len(raw) > longest:
        raise falcon.HTTPContentTooLarge(
            description=f"The body has more than {longest} bytes.")
    if not raw.strip():
        raise BadInput("the request has no body", remedy="send JSON")
    if kind != falcon.MEDIA_JSON:
        raise BadInput(f"the body is {kind or 'of no content type'}",
                       remedy=f"send JSON, and the header Content-Type: {falcon.MEDIA_JSON}")
    if _NUL.search(raw):
        raise BadInput("the body has a text with a NUL character")
    if deeper_than(raw, DEPTH):
        raise BadInput(f"the body has more than {DEPTH} lists and objects within each other",
                       remedy="send what is flatter")
    try:
        return msgspec.json.decode(raw, type=wanted)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadInput(f"Invalid input for the request's body: {error}") from error


def deeper_than(raw: bytes, depth: int) -> bool:
    """Whether JSON has more than so many lists and objects within each other. Of what is no JSON it
    says anything: that is found out by whoever reads it."""
    if raw.count(b"[") + raw.count(b"{") <= depth:
        return False
    brackets = _TEXTS.sub(b"", raw).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > depth


def encode(answer: Any) -> bytes:
    return msgspec.json.encode(answer)


def must_be_uuid(name: str, text: str) -> None:
    """Raises BadInput."""
    if not _UUID.match(text) or text.endswith("\n"):
        raise BadInput(f"Invalid {name} provided: {text!r} is not a UUID.")
