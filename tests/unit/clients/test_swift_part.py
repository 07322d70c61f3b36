"""A part of an object is that part, or an error: what came short is not the object's end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from karbor.clients.swift_container import SwiftContainer
from karbor.domain.errors import CloudUnavailable

BODY = bytes(range(100))


class Answer:
    def __init__(self, status: int, told: str, body: bytes) -> None:
        self.status_code, self._body = status, body
        self.headers = {"Content-Length": str(len(body)),
                        **({"Content-Range": told} if told else {})}

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None: ...

    def iter_content(self, size: int) -> Iterator[bytes]:
        yield self._body

    def close(self) -> None: ...


class Swift:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def send(self, *_: Any, **__: Any) -> Any:
        return self._answer

    def patiently(self, call: Callable[[], Any]) -> Any:
        return call()


def read(status: int, told: str, body: bytes, offset: int = 0) -> bytes:
    swift: Any = Swift(Answer(status, told, body))
    return SwiftContainer(lambda: swift, "box").read("name", offset, 10)


@pytest.mark.parametrize(("status", "told", "body", "offset", "part"), [
    (206, "bytes 0-9/100", BODY[:10], 0, BODY[:10]),
    (206, "bytes 95-99/100", BODY[95:], 95, BODY[95:]),
    (206, "bytes 0-9/*", BODY[:10], 0, BODY[:10]),
    (200, "", BODY, 20, BODY[20:30]), (200, "", BODY, 95, BODY[95:]), (200, "", BODY, 200, b""),
    (416, "bytes */100", b"", 100, b""), (416, "", b"", 100, b""), (416, "bytes */0", b"", 0, b"")])
def test_a_part_is_what_the_answer_says(
        status: int, told: str, body: bytes, offset: int, part: bytes) -> None:
    assert read(status, told, body, offset) == part


@pytest.mark.parametrize(("status", "told", "body", "offset"), [
    (206, "bytes 0-4/100", BODY[:5], 0),        # shorter than was asked for, and not at the end
    (206, "bytes 0-9/100", BODY[:5], 0),        # shorter than it says
    (206, "bytes 5-14/100", BODY[5:15], 0),     # another part
    (206, "bytes 0-99/100", BODY, 0),           # more than was asked for
    (206, "", BODY[:10], 0), (206, "soup", BODY[:10], 0), (206, "bytes */100", BODY[:10], 0),
    (416, "bytes */100", b"", 50),              # within the object
    (204, "", b"", 0)])
def test_any_other_answer_is_asked_for_again(
        status: int, told: str, body: bytes, offset: int) -> None:
    with pytest.raises(CloudUnavailable):
        read(status, told, body, offset)
