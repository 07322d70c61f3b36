"""Api: one service of the cloud as JSON over HTTP, on the operation's session."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from keystoneauth1 import exceptions as ksa

from karbor.clients import error_answers
from karbor.clients.kubernetes import ClusterSession
from karbor.clients.microversion import Microversions
from karbor.clients.paging import pages
from karbor.clients.service import Service
from karbor.clients.streams import SizedBody, pieces, small
from karbor.config import ConfigOpts
from karbor.credentials.session import OperationSession
from karbor.domain.errors import (
    CloudError,
    CloudForbidden,
    CloudNotFound,
    CloudUnauthorized,
    CloudUnavailable,
    KarborError,
    RequestRefused,
)
from karbor.plugin.cloud import Json

LOG = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_T = TypeVar("_T")


class ServiceApi:
    """Implements `karbor.plugin.cloud.Api`; the contract stands there.

    `wrote` is told the ids that a request which may change something named or created, when its
    answer has come (or has not), and whether it was an agreement to remove them; `answered` is
    told the ids with the request, in the words of CloudError, when it has come. `wait` sleeps
    between repetitions.
    """

    def __init__(
        self,
        service: Service,
        address: str,
        session: OperationSession | ClusterSession,
        conf: ConfigOpts,
        microversions: Microversions,
        *,
        wrote: Callable[[set[str], bool], None] = lambda _ids, _removed: None,
        answered: Callable[[set[str], Mapping[str, str]], None] = lambda _ids, _request: None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.service = service
        self._address = address
        self._session = session
        self._conf = conf
        self._microversions = microversions
        self._wrote = wrote
        self._answered = answered
        self._wait = wait

    # -- reading: repeated when the service is unavailable --------------------------------------

    def get(self, path: str, *, params: Json | None = None, version: str | None = None) -> Any:
        def once() -> Any:
            return _json(self.send("GET", path, params=params, version=version), path, self.name)
        return self.patiently(once)

    def head(self, path: str) -> Mapping[str, str]:
        def once() -> Mapping[str, str]:
            answer = self.send("HEAD", path)
            return {name.lower(): value for name, value in answer.headers.items()}
        return self.patiently(once)

    def list(self, path: str, key: str, *, params: Json | None = None,
             version: str | None = None) -> list[dict[str, Any]]:
        asked: dict[str, Any] = dict(params or {})
        if self.service.page is not None:
            asked.setdefault("limit", self.service.page)
        if not key:
            asked.setdefault("format", "json")      # Swift's lists are plain text otherwise

        def collect() -> list[dict[str, Any]]:
            return [item for page in pages(
                lambda query: self.get(path, params=query, version=version), key, asked, self.name)
                for item in page]
        try:
            return collect()
        except (CloudNotFound, RequestRefused):
            # The last thing of a page went away before the next one was asked for: once more.
            return collect()

    def download(self, path: str, *, offset: int = 0, size: int | None = None
                 ) -> Iterator[bytes]:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        ranged = bool(offset) or size is not None
        if ranged:
            headers["Range"] = f"bytes={offset}-" + ("" if size is None else f"{offset + size - 1}")
        answer = self.patiently(lambda: self.send("GET", path, headers=headers, stream=True,
                                                    also_good=416 if ranged else None))
        return pieces(answer, offset, self.name, f"GET {path}")

    # -- writing: sent once ----------------------------------------------------------------------

    def post(self, path: str, body: Json | None = None, *, version: str | None = None) -> Any:
        return self._write("POST", path, body, version=version)

    def put(self, path: str, body: Json | None = None, *, version: str | None = None) -> Any:
        return self._write("PUT", path, body, version=version)

    def patch(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> Any:
        return self._write("PATCH", path, body, headers=headers)

    def delete(self, path: str, *, params: Json | None = None) -> None:
        try:
            self._write("DELETE", path, None, params=params)
        except CloudNotFound:
            return

    def upload(self, path: str, body: Iterable[bytes], *, size: int | None = None) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        data: Iterable[bytes] | bytes = small(body)
        if size is not None:
            sized = SizedBody(small(body), size, self.name, f"PUT {path}")
            headers["Content-Length"] = str(size)
            # requests sends an empty stream in chunks: here it is bytes, as empty as announced.
            data = sized if size else b"".join(sized)
        try:
            answer = self.send("PUT", path, headers=headers, data=data)
            self._answered(set(_ID.findall(path)), self._words("PUT", path, answer))
        finally:
            self._wrote(set(_ID.findall(path)), False)

    # -------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.service.name

    def _write(self, method: str, path: str, body: Any, **options: Any) -> Any:
        touched = set(_ID.findall(path)) | set(_ID.findall(str(body)))
        removed = False
        try:
            answer = self.send(method, path, json=body, **options)
            removed = method == "DELETE" and path.count("/") == 2       # of a thing itself
            touched |= set(_ID.findall(answer.text))
            self._answered(touched, self._words(method, path, answer))
            return _json(answer, path, self.name, empty={})
        finally:
            self._wrote(touched, removed)

    def _words(self, method: str, path: str, answer: requests.Response) -> Mapping[str, str]:
        return {"service": self.name, "request": f"{method} {path}",
                "request_id": error_answers.request_id(answer)}

    def send(self, method: str, path: str, *, version: str | None = None,
              also_good: int | None = None, headers: Mapping[str, str] | None = None,
              **options: Any) -> requests.Response:
        """Send one request, for what `clients` itself builds upon; a second one only when the first
        was not understood (406): then nothing has been done yet."""
        request = f"{method} {path}"
        chosen = version or self._microversions.of(self.service, self._address)
        sent = {"Accept": "application/json", **self.service.headers(chosen), **(headers or {})}
        overtaken = self._session.watch()
        try:
            answer = self._session.request(
                self._address + quote(path, safe="/%?:@!$&'()*+,;=~"), method, headers=sent,
                raise_exc=False, log=False, **options)
        except (ksa.ClientException, requests.RequestException, OSError) as error:
            raise error_answers.unanswered(error, self.name, request) from error
        LOG.debug("%s %s: %s (%s)", self.name, request, answer.status_code,
                  error_answers.request_id(answer))
        if answer.status_code < 300 or answer.status_code == also_good:
            return answer
        if answer.status_code == 406 and not version and chosen:
            lower = self._microversions.lower(
                self.service, self._address,
                lambda url: self._session.get(url, raise_exc=False, log=False))
            if lower != chosen:
                return self.send(method, path, version=lower, headers=headers, **options)
        with answer:
            refused = error_answers.answered(answer, self.name, request)
        if getattr(answer, "credential_renewed", False):
            # A stream is never sent again by itself: whoever has the bytes may begin anew.
            raise CloudUnavailable(refused.message, service=self.name, request=request,
                                   request_id=refused.request_id, status=401)
        if isinstance(refused, CloudUnauthorized | CloudForbidden) and overtaken():
            # Services pass the token on to each other: the last one may have seen it too late.
            raise CloudUnavailable(
                f"{refused.message} (the time of its credential came meanwhile)", service=self.name,
                request=request, request_id=refused.request_id, status=refused.status)
        if "Retry-After" in answer.headers and refused.transient:
            refused.add_note(f"Retry-After: {answer.headers['Retry-After']}")
        raise refused

    def patiently(self, once: Callable[[], _T]) -> _T:
        """Repeat `once` while the service is unavailable, `[http] retries` times at most, and
        return what it returns. Raises what it raises at last."""
        http = self._conf.http
        for attempt in range(http.retries):
            try:
                return once()
            except KarborError as error:
                if not error.transient:
                    raise
                pause = min(max(0.5 * 2 ** attempt, _asked_for(error)), http.retry_longest)
                LOG.info("%s: again in %.1f s", error.message, pause)
            self._wait(pause)
        return once()


def _asked_for(error: KarborError) -> float:
    """Return the seconds of patience that the service asked for."""
    for note in getattr(error, "__notes__", ()):
        name, _, value = note.partition(": ")
        if name == "Retry-After" and value.isdigit():
            return float(value)
    return 0.0


def _json(answer: requests.Response, path: str, service: str, empty: Any = None) -> Any:
    if not answer.content and empty is not None:
        return empty
    try:
        return answer.json()
    except ValueError:
        if empty is not None:
            return empty
        raise CloudError(f"{service} answered something else than JSON", service=service,
                         request=f"GET {path}", request_id=error_answers.request_id(answer),
                         status=answer.status_code) from None
