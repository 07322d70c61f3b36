"""Streams: bodies of any size, in pieces, whose end is known to be their end."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any

import requests
import urllib3

from karbor.clients.error_answers import request_id
from karbor.domain.errors import CloudError, CloudUnavailable

PIECE = 1 << 20
"""Bytes of a piece that is read."""

SENT = 1 << 18
"""Bytes of a piece that is sent: servers limit the chunks of a body of unknown length (uwsgi to
one MiB, its frame included)."""


def pieces(answer: requests.Response, offset: int, service: str, request: str
           ) -> Generator[bytes, None, None]:
    """Yield the body from `offset` on; closes the answer at the end, or when the reader gives up.

    A server that ignores the Range header sends everything: then what comes before is skipped.
    Raises CloudUnavailable when the body ends before its announced length, or silence falls.
    """
    facts: dict[str, Any] = {"service": service, "request": request,
                             "request_id": request_id(answer)}
    with answer:
        if answer.status_code in (204, 416):
            return
        expected = _length(answer)
        if expected is None and "chunked" not in answer.headers.get("Transfer-Encoding", ""):
            raise CloudError(f"{service} does not say how long the body is, so its end cannot be "
                             "told from a lost connection", **facts)
        skip = offset if answer.status_code == 200 else 0
        came = 0
        try:
            for piece in answer.iter_content(PIECE):
                came += len(piece)
                if skip:
                    cut = min(skip, len(piece))
                    skip, piece = skip - cut, piece[cut:]   # noqa: PLW2901
                if piece:
                    yield piece
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise CloudUnavailable(f"the stream from {service} broke off after {came} bytes: "
                                   f"{type(error).__name__}", **facts) from error
        if expected is not None and came != expected:
            raise CloudUnavailable(f"the stream from {service} broke off after {came} of "
                                   f"{expected} bytes", **facts)


def _length(answer: requests.Response) -> int | None:
    value = answer.headers.get("Content-Length", "")
    return int(value) if value.isdigit() else None


def small(body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of at most SENT."""
    for piece in body:
        view = memoryview(piece)
        for start in range(0, len(view), SENT):
            yield bytes(view[start:start + SENT])


class SizedBody:
    """A stream of known length, sent with Content-Length instead of in chunks; one that is longer
    or shorter breaks the request instead of storing something else."""

    def __init__(self, body: Iterable[bytes], size: int, service: str, request: str) -> None:
        self._body = body
        self._size = size
        self._facts: dict[str, Any] = {"service": service, "request": request}

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[bytes]:
        # A piece leaves when the next one is known, so that a body which turns out to be longer or
        # shorter never was sent completely.
        sent, waiting = 0, b""
        for piece in self._body:
            if waiting and piece:
                yield waiting
            waiting = piece or waiting
            sent += len(piece)
            if sent > self._size:
                break
        if sent != self._size:
            raise CloudError(f"the body is {'longer' if sent > self._size else 'shorter'} than the "
                             f"{self._size} bytes that were announced", **self._facts)
        if waiting:
            yield waiting
