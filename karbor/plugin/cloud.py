"""Cloud: the narrow face of OpenStack that plugins see.

Plugin code never sees a token, a session or an expiry: whatever credential stands behind a Cloud
renews or changes itself. Everything here is safe to call from several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

Json = Mapping[str, Any]


class Api(Protocol):
    """One service of the cloud: JSON over HTTP, on the operation's session.

    Paths are relative to the service's endpoint for the project (`/volumes/detail`). A microversion
    is set per service in `clients/`; `version` overrides it for one request. Every method raises
    the CloudError family of `domain.errors` (with the request and its id), never an exception of
    an HTTP library. GETs are retried on transient failures; nothing that creates ever is, since
    only its caller can tell whether it was done (by its mark).
    """

    def get(self, path: str, *, params: Json | None = None, version: str | None = None) -> Any:
        """Return the answer's JSON. Idempotent."""

    def post(self, path: str, body: Json | None = None, *, version: str | None = None) -> Any:
        """Return the answer's JSON, or {} when it has none. Sent once."""

    def put(self, path: str, body: Json | None = None, *, version: str | None = None) -> Any:
        """Return the answer's JSON, or {}. Sent once."""

    def patch(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> Any:
        """Return the answer's JSON, or {}. Sent once."""

    def delete(self, path: str, *, params: Json | None = None) -> None:
        """Delete what the path names. Idempotent: what is gone already counts as deleted."""

    def list(self, path: str, key: str, *, params: Json | None = None,
             version: str | None = None) -> list[dict[str, Any]]:
        """Return all items of a collection, every page of it; `key` is the body's member with the
        items.

        Raises when any page fails: a shorter list than there is would be a lie.
        """

    def head(self, path: str) -> Mapping[str, str]:
        """Return the answer's headers (names in lower case)."""

    def download(self, path: str, *, offset: int = 0, size: int | None = None
                 ) -> Iterator[bytes]:
        """Return the bytes of a body from `offset` on, in pieces of moderate size; with `size`
        (above 0) not more than so many, from a service that knows ranges (others send all that
        follows). Raises CloudError when the stream breaks off; it never ends early in silence."""

    def upload(self, path: str, body: Iterable[bytes], *, size: int | None = None) -> None:
        """Send a body once. It is never sent again by itself (a resent stream would be empty)."""


class Cloud(Protocol):
    """The cloud as one caller sees it."""

    @property
    def user_id(self) -> str: ...

    @property
    def project_id(self) -> str: ...

    @property
    def project_name(self) -> str: ...

    def api(self, service: str) -> Api:
        """Return the API of a service by its name: cinder, nova, glance, neutron, swift, manila,
        trove, barbican, and kubernetes, which is in no catalog. Raises ServiceAbsent when the cloud
        has no such service, and CloudError when it has one that cannot be used as configured."""

    def has(self, service: str) -> bool:
        """Return whether this cloud has such a service (in the catalog or by configuration), be
        it one that does not answer."""

    def client(self, service: str) -> Any:
        """Return openstacksdk's proxy of the service on the same session, for plugin authors who
        prefer it. Created once and good until the credential's end."""

    def look(self, kind: str, id: str) -> Json | None:
        """Return how one thing stands, as the service's list shows it; None when it is gone.

        All looks of one kind share one list request per interval. Kinds: cinder.volume,
        cinder.snapshot, cinder.backup, glance.image, nova.server, manila.share, manila.snapshot
        (see `clients/looking.py`). Transient failures are retried inside; the first look at a
        thing is always a fresh one.
        """

    def asked(self, id: str) -> Json:
        """Return the last request of this process that made, changed or named a thing, as the
        arguments `service`, `request` and `request_id` of a CloudError; empty when nothing is
        known of it. For errors that a thing goes into by itself, long after the request was
        answered."""

    def ensure_credential(self, seconds: float) -> float | None:
        """Have requests bear, from now on, a token that outlasts it, where the caller's credential
        can give one (else the one that lasts longest). `Work` knows how long work takes: plugins
        say `work.ensure_credential(size)`.

        Returns when that token ends, without the window in which it may still be used, in seconds
        since the epoch; None: never, or nobody knows. Raises a transient CredentialError when
        Keystone cannot be asked for one now."""

    def interval(self, kind: str) -> float:
        """Return the seconds until a further look of this kind is worth while: 1 s growing to 15
        s."""

    def first_poll_delay(self, kind: str) -> float:
        """Return the seconds until the first look at something that was just asked for is worth
        while: none while few things of the kind are waited for, else until the next list of all of
        them."""
