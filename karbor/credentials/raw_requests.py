"""Raw requests: one request with exactly the headers given, and its answer, whatever that is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from karbor.config import ConfigOpts
from karbor.credentials.connection_faults import fault
from karbor.credentials.endpoint_settings import EndpointSettings
from karbor.credentials.transport import Transport
from karbor.plugin.token_probe import Answer

_LONGEST = 200


class Asker:
    """Below keystoneauth: nothing is renewed, repeated or redirected. For any number of threads."""

    def __init__(self, conf: ConfigOpts, endpoint_settings: EndpointSettings) -> None:
        self._transport = Transport(conf.limits.workers + conf.limits.carriers)
        self._endpoint_settings = endpoint_settings
        self._timeouts = (conf.http.connect_timeout, conf.http.read_timeout)

    def send(self, method: str, url: str, headers: Mapping[str, str], *, json: Any = None,
             data: bytes | None = None) -> Answer:
        """Send one request, whatever the answer. Its status is 0 when no answer came; its text then
        says why, without the headers."""
        begun = time.time()
        try:
            with self._transport.request(
                method,
                url,
                headers={"Accept": "application/json", **headers},
                json=json,
                data=data,
                timeout=self._timeouts,
                allow_redirects=False,
                verify=self._endpoint_settings.verify,
                cert=self._endpoint_settings.cert,
            ) as response:
                return _read(response, (begun + time.time()) / 2)
        except requests.exceptions.Timeout:
            return Answer(0, "no answer in time")
        except (requests.RequestException, OSError) as error:
            if (found := fault(error)) is not None:
                return Answer(0, f"{urlsplit(url).netloc} {found.what} ({found.remedy})")
            return Answer(0, "nobody answers" if isinstance(
                error, requests.exceptions.ConnectionError) else type(error).__name__)

    def close(self) -> None:
        self._transport.close()


def _read(response: requests.Response, middle: float) -> Answer:
    body: Any = None
    try:
        body = response.json() if response.content else None
    except ValueError:
        body = None
    return Answer(response.status_code, _said(response, body), body,
                  _ahead(response.headers.get("Date"), middle))


def _ahead(date: str | None, middle: float) -> float | None:
    if not date:
        return None
    try:
        # The header is cut to whole seconds: half of one is what it lacks on average.
        return parsedate_to_datetime(date).timestamp() + 0.5 - middle
    except ValueError:
        return None


def _said(response: requests.Response, body: Any) -> str:
    """Return the words of an error: {"error": {"message"}}, {"badRequest": {"message"}}, a page."""
    if response.status_code < 400:
        return ""
    words: Any = response.reason
    if isinstance(body, dict):
        inner = next((one for one in body.values() if isinstance(one, dict)), body)
        words = inner.get("message") or inner.get("description") or words
    line = " ".join(str(words).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST - 1] + "…"
