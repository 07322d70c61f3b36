"""ObjectStore: what a bank in an object service (Swift, S3) asks of it.

It is one container, spoken to with an account of the operator's own: whoever asks Karbor for
something never sees it. The contract is narrow on purpose, so that a bank says how checkpoints lie
there and nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Blob:
    """An object as the service describes it: its size in bytes, and the content type that it was
    written with."""

    name: str
    size: int
    kind: str


class ObjectStore(Protocol):
    """One container. Every method may be called from several threads.

    Names are ASCII without blanks. Names that begin with `claims/` are the store's own. Raised
    are the CloudError family, CredentialError when the account cannot log in, and what is named
    below. What only reads, and a body of bytes, is sent again when the service is unavailable; a
    stream never is.
    """

    @property
    def where(self) -> str:
        """The container, in words for people."""

    def prepare(self) -> None:
        """Make the container if there is none."""

    def put(self, name: str, body: bytes, kind: str, *, absent: bool = False) -> None:
        """Write an object whole; the service compares the checksum of what came with that of what
        was sent. With `absent`, raise ObjectExists if there is one: of several writers one
        succeeds."""

    def send(self, name: str, body: Iterable[bytes], *, lifetime: float) -> None:
        """Write a stream, sent once, which the service removes by itself after so many seconds.
        What it stored is compared with what was sent. An error of `body` passes as it is, and
        nothing has been written then."""

    def copy(self, source: str, name: str, kind: str, *, absent: bool = False) -> None:
        """Write, as `put` does, the bytes of another object, which do not come here. It does not
        inherit the other's lifetime."""

    def get(self, name: str) -> tuple[Blob, Iterator[bytes]]:
        """Return an object and its bytes, in pieces of at most 1 MiB; raises CloudUnavailable
        where the stream breaks off. Raises ObjectMissing at once. Whoever does not read to the
        end closes the iterator."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return a part of an object, fewer bytes where it ends before. Raises ObjectMissing."""

    def room(self) -> int | None:
        """Return how many bytes the quotas of container and account leave; None: there is none."""

    def head(self, name: str) -> Blob | None:
        """Return what is told of an object without its bytes; None when there is none."""

    def list(self, prefix: str, *, after: str = "", limit: int) -> list[Blob]:
        """Return the objects in order of their names' bytes, those after `after` only; one request
        for each 10,000."""

    def delete(self, names: Sequence[str]) -> None:
        """Remove many in few requests. What is absent is no error."""


OpenStore = Callable[[str], ObjectStore]
"""Opens a container by its name, without asking the service for anything yet."""
