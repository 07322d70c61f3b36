"""SwiftContainer: a container of Swift as an ObjectStore."""

from __future__ import annotations

import builtins
import hashlib
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

import requests

from karbor.clients.api import ServiceApi
from karbor.clients.streams import pieces, small
from karbor.clients.swift_bulk import delete_many
from karbor.clients.swift_claims import Claims
from karbor.domain.errors import (
    CloudError,
    CloudForbidden,
    CloudNotFound,
    CloudUnauthorized,
    CloudUnavailable,
    ObjectExists,
    ObjectMissing,
    RequestRefused,
)
from karbor.plugin.object_store import Blob

PAGE = 10_000
"""Names that Swift lists at once, at most."""

WRITE = "X-Object-Meta-Karbor-Write"
"""Which request wrote an object: after a lost answer it tells one's own from another's."""

WHOLE_OBJECT = -1
_CONTENT_RANGE = re.compile(
    r"bytes (?:(?P<first>\d+)-(?P<last>\d+)|\*)/(?:(?P<total>\d+)|\*)\Z")

Put = Callable[[dict[str, str]], requests.Response]


class SwiftContainer:
    """Implements `karbor.plugin.object_store.ObjectStore`; the contract stands there.

    `connect` gives Swift's API on the account's session; it is asked at the first use.

    Other services speak this API as well, Ceph's RGW above all, and differ in what is met here:
    RGW (16.2) does not know `If-None-Match`, answers 401 to a role that it does not accept, leaves
    out content types that an object was not given, and lists fewer names than it was asked for.
    """

    def __init__(self, connect: Callable[[], ServiceApi], container: str) -> None:
        self._connect = connect
        self._api: ServiceApi | None = None
        self._name = container
        self._path = "/" + quote(container, safe="")
        self._connecting = threading.Lock()
        self._claims = Claims(self)

    @property
    def where(self) -> str:
        return f"the container {self._name} in Swift"

    @property
    def api(self) -> ServiceApi:
        """Return Swift's API on the operator's account; log in at the first use. Raises
        CredentialError, CloudError."""
        with self._connecting:
            if self._api is None:
                self._api = self._connect()
            return self._api

    def path(self, name: str = "") -> str:
        """Return the path of an object, or of the container."""
        return f"{self._path}/{name}" if name else self._path

    # ------------------------------------------------------------------ writing
    def prepare(self) -> None:
        with self._entitled():
            self.api.patiently(lambda: self.api.send("PUT", self.path()))

    def put(self, name: str, body: bytes, kind: str, *, absent: bool = False) -> None:
        digest = _md5(body)
        self._write(name, absent, digest.hexdigest(), lambda headers: self.api.send(
            "PUT", self.path(name), data=body,
            headers={**headers, "Content-Type": kind, "ETag": digest.hexdigest()}))

    def copy(self, source: str, name: str, kind: str, *, absent: bool = False) -> None:
        def copied(headers: dict[str, str]) -> requests.Response:
            # Swift's copy would take it for a question about its source.
            headers.pop("If-None-Match", None)
            return self.api.send("PUT", self.path(name), data=b"", headers={
                **headers, "Content-Type": kind, "X-Copy-From": self.path(source),
                "X-Fresh-Metadata": "true"})
        self._write(name, absent, "", copied)

    def _write(self, name: str, absent: bool, md5: str, put: Put) -> None:
        if absent:
            with self._entitled(), self._claims.held(name):
                self._first(name, md5, put)
            return

        def once() -> None:
            try:
                answer = put({WRITE: _unique()})
            except RequestRefused as error:
                raise _transient(error) from error
            self._written(name, md5, answer)
        with self._entitled():
            self.api.patiently(once)

    def _first(self, name: str, md5: str, put: Put) -> None:
        """Write it where there is none. Raises ObjectExists.

        The look comes before the writing, since not every store knows `If-None-Match`; between the
        two nobody else writes who makes claims as well."""
        if self._newest(name) is not None:
            raise self._exists(name)
        mine, sent = _unique(), 0

        def once() -> None:
            nonlocal sent
            sent += 1
            try:
                answer = put({WRITE: mine, "If-None-Match": "*"})
            except (RequestRefused, ObjectExists) as error:
                if isinstance(error, RequestRefused) and error.status != 412:
                    raise _transient(error) from error
                # An earlier try may have been done without its answer being heard.
                if sent > 1 and self._writer(name) == mine:
                    return
                raise self._exists(name) from error
            if answer.status_code == 202:       # Swift has a later one
                raise self._exists(name)
            self._written(name, md5, answer)
        self.api.patiently(once)
        # Another one may have been let pass beside it: the last that wrote has the name.
        if self._writer(name) != mine:
            raise self._exists(name)

    def _writer(self, name: str) -> str:
        """Return the mark of the request that wrote an object; empty when there is none."""
        answer = self._newest(name)
        return "" if answer is None else str(answer.headers.get(WRITE, ""))

    def _newest(self, name: str) -> requests.Response | None:
        """Return what all servers that have an object say of it; None when there is none."""
        try:
            return self.api.patiently(lambda: self.api.send(
                "HEAD", self.path(name), headers={"X-Newest": "true"}))
        except CloudNotFound:
            return None

    def _written(self, name: str, md5: str, answer: requests.Response) -> None:
        found = answer.headers.get("ETag", "").strip('"')
        if md5 and found != md5:
            raise CloudUnavailable(
                f"Swift stored {name} with the MD5 {found} instead of {md5}", service="swift",
                request=f"PUT {self.path(name)}")

    def send(self, name: str, body: Iterable[bytes], *, lifetime: float) -> None:
        sending = _Sending(body)
        try:
            answer = self.api.send("PUT", self.path(name), data=iter(sending), headers={
                "Content-Type": "application/octet-stream",
                "X-Delete-After": str(max(1, int(lifetime)))})
        except Exception as error:
            if sending.failure is not None:
                raise sending.failure from error    # the caller's own, not the network's
            if isinstance(error, CloudError) and error.status == 401:
                # A stream is not repeated with a new token; nothing can tell why it was refused.
                self.put(name, b"", "application/octet-stream")
                self.delete([name])
            raise
        self._written(name, sending.md5.hexdigest(), answer)

    def delete(self, names: Sequence[str]) -> None:
        with self._entitled():
            delete_many(self.api, [self.path(name) for name in names])

    @contextmanager
    def _entitled(self) -> Iterator[None]:
        """Raise CloudForbidden for a 401 that means a missing right: the account has logged in anew
        before it came, and with the same token the container can be read."""
        try:
            yield
        except CloudUnauthorized as error:
            try:
                self.api.send("HEAD", self.path())
            except CloudError:
                raise error from None
            raise CloudForbidden(
                f"{error.message}: this login may read {self.where}, and not write to it",
                service="swift", request=error.request, request_id=error.request_id,
                status=error.status) from error

    # ------------------------------------------------------------------ reading
    def get(self, name: str) -> tuple[Blob, Iterator[bytes]]:
        path = self.path(name)
        try:
            answer = self.api.patiently(lambda: self.api.send(
                "GET", path, stream=True, headers={"Accept": "*/*",
                                                   "Accept-Encoding": "identity"}))
        except CloudNotFound as error:
            raise ObjectMissing(f"{self.where} has no object {name}") from error
        return _blob(name, answer), pieces(answer, 0, "swift", f"GET {path}")

    def read(self, name: str, offset: int, length: int) -> bytes:
        if not length:      # no range of HTTP is empty
            if self.head(name) is None:
                raise ObjectMissing(f"{self.where} has no object {name}")
            return b""
        try:
            return self.api.patiently(lambda: self._read_once(self.path(name), offset, length))
        except CloudNotFound as error:
            raise ObjectMissing(f"{self.where} has no object {name}") from error

    def _read_once(self, path: str, offset: int, length: int) -> bytes:
        answer = self.api.send("GET", path, stream=True, also_good=416, headers={
            "Accept": "*/*", "Accept-Encoding": "identity",
            "Range": f"bytes={offset}-{offset + length - 1}"})
        expected = _expected_of_part(answer, offset, length)
        if expected is None:
            answer.close()
            told = answer.headers.get("Content-Range", "") or "no Content-Range"
            raise CloudUnavailable(
                f"Swift was asked for {length} bytes from {offset} on, and answered "
                f"{answer.status_code} with {told}", service="swift", request=f"GET {path}")
        found, came = [], 0
        # What ignores the range sends the whole object: only the part is held.
        with closing(pieces(answer, offset, "swift", f"GET {path}")) as stream:
            for piece in stream:
                found.append(piece[:length - came])
                came += len(found[-1])
                if came == length:
                    break
        if expected not in (came, WHOLE_OBJECT):
            raise CloudUnavailable(f"of {expected} bytes that Swift announced {came} came",
                                   service="swift", request=f"GET {path}")
        return b"".join(found)

    def head(self, name: str) -> Blob | None:
        try:
            answer = self.api.patiently(lambda: self.api.send("HEAD", self.path(name)))
        except CloudNotFound:
            return None
        return _blob(name, answer)

    def room(self) -> int | None:
        left = []
        for path, kind in ((self.path(), "Container"), ("", "Account")):
            try:
                answer = self.api.patiently(partial(self.api.send, "HEAD", path))
            except (CloudForbidden, CloudNotFound):
                continue    # what may not be looked at leaves what was seen
            quota = answer.headers.get(f"X-{kind}-Meta-Quota-Bytes", "")
            used = answer.headers.get(f"X-{kind}-Bytes-Used", "")
            if quota.isdigit() and used.isdigit():
                left.append(max(0, int(quota) - int(used)))
        return min(left, default=None)

    def list(self, prefix: str, *, after: str = "", limit: int) -> list[Blob]:
        blobs: list[Blob] = []
        while len(blobs) < limit:
            asked = min(limit - len(blobs), PAGE)
            page, _ = self.listed(prefix, after, asked)
            blobs += [Blob(str(one["name"]), int(one["bytes"]), str(one.get("content_type") or ""))
                      for one in page]
            if not page:    # a store may list less than it was asked for, and have more
                break
            after = blobs[-1].name
        return blobs

    def listed(self, prefix: str, after: str, limit: int
               ) -> tuple[builtins.list[dict[str, Any]], requests.Response]:
        """Return one page as Swift tells it, with the answer it came in."""
        def once() -> requests.Response:
            return self.api.send("GET", self.path(), params={
                "format": "json", "prefix": prefix, "marker": after, "limit": str(limit)})
        answer = self.api.patiently(once)
        return answer.json() if answer.content else [], answer

    def _exists(self, name: str) -> ObjectExists:
        return ObjectExists(f"{self.where} has an object {name} already")


def _expected_of_part(answer: requests.Response, offset: int, length: int) -> int | None:
    """Return how many bytes the answer to a request for a part brings (WHOLE_OBJECT: all of the
    object, from which the part is cut); None when it is no answer to that request. What a proxy
    cut short must not be taken for the end of the object (RFC 9110, 14.4)."""
    if answer.status_code == 200:
        return WHOLE_OBJECT
    told = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    if answer.status_code == 416:       # behind the end, if the end is told and before it
        return None if told and told["total"] and int(told["total"]) > offset else 0
    if answer.status_code != 206 or not told or told["first"] is None:
        return None
    first, last = int(told["first"]), int(told["last"])
    end = min(offset + length, int(told["total"])) if told["total"] else last + 1
    return last + 1 - first if first == offset and last + 1 == end <= offset + length else None


class _Sending:
    """A body on its way: what was sent of it, and how it failed, if it did."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self.md5 = _md5(b"")
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in small(self._body):
                self.md5.update(piece)
                yield piece
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise


def _blob(name: str, answer: requests.Response) -> Blob:
    return Blob(name, int(answer.headers.get("Content-Length") or 0),
                answer.headers.get("Content-Type", ""))


def _transient(error: RequestRefused) -> RequestRefused | CloudUnavailable:
    """Return the error as one that passes, where what came was not what was sent (422)."""
    if error.status != 422:
        return error
    return CloudUnavailable(error.message, service=error.service, request=error.request,
                            request_id=error.request_id, status=error.status)


def _md5(body: bytes) -> Any:
    return hashlib.md5(body, usedforsecurity=False)


def _unique() -> str:
    return uuid.uuid4().hex
