"""Session: what one operation says to the cloud, on its credential and its connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import requests
from keystoneauth1.exceptions import from_response
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from requests.adapters import BaseAdapter

from karbor.config import ConfigOpts
from karbor.credentials.transport import Transport


@runtime_checkable
class Doubting(Protocol):
    """An auth plugin that can find out why it is refused."""

    def doubt(self) -> None: ...


@runtime_checkable
class Changing(Protocol):
    """An auth plugin that goes on with another credential when the time of one has come."""

    def watch(self) -> Callable[[], bool]: ...


class OperationSession(Session):  # type: ignore[misc]
    """keystoneauth's session with four rules more.

    - **A stream is sent once.** keystoneauth answers a 401 (and follows a redirect) by sending the
      request again; of a file or generator nothing is left by then, and a service stores 0 bytes
      and says 200. So a body that is not bytes is never resent; the credential is renewed, for
      whoever begins anew, and the response bears `credential_renewed`.
    - Every request has a time to connect and a time to answer.
    - An answer of 401 or 503 raises the cause, where Keystone knows one: services say 503 when
      Keystone refuses to tell them about a token (a trust that has lost a role), and whoever
      repeats such a request does it for ever.
    - `transport` is ours: its pool fits the number of threads, and it counts.
    """

    def __init__(
        self,
        auth: BaseAuthPlugin,
        transport: Transport,
        *,
        timeouts: tuple[float, float],
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        discovery: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(auth=auth, session=transport, verify=verify, cert=cert,
                         discovery_cache=discovery, app_name="karbor")
        self.transport = transport
        self.timeouts = timeouts

    def close(self) -> None:
        """Give up the connections. (keystoneauth leaves those of a session that it was given.)"""
        super().close()
        self.session.close()

    def request(self, url: str, method: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", self.timeouts)
        raise_exc = options.pop("raise_exc", True)
        if not _is_stream(options.get("data")):
            whole: requests.Response = super().request(url, method, raise_exc=False, **options)
            self._doubt(whole, options)
            if raise_exc and whole.status_code >= 400:
                raise from_response(whole, method, url)
            return whole
        options.update(allow_reauth=False, redirect=False, connect_retries=0,
                       status_code_retries=0)
        response: requests.Response = super().request(url, method, raise_exc=False, **options)
        if response.status_code == 401:
            renewed = self.invalidate(options.get("auth"))
            response.credential_renewed = renewed   # type: ignore[attr-defined]
        else:
            self._doubt(response, options)
        if raise_exc and response.status_code >= 300:
            # 3xx too: the body went to somebody who did not want it.
            raise from_response(response, method, url)
        return response

    def watch(self) -> Callable[[], bool]:
        """Return what is to be called when the answer to the request has come: it tells whether a
        refusal may be due to a credential whose time came in between, so that the next request will
        go out with another one."""
        return self.auth.watch() if isinstance(self.auth, Changing) else lambda: False

    def _doubt(self, response: requests.Response, options: Mapping[str, Any]) -> None:
        """Raise TokenRejected when the credential behind a refused request is dead."""
        auth = options.get("auth") or self.auth
        if (response.status_code in (401, 503) and isinstance(auth, Doubting)
                and options.get("authenticated") is not False):
            auth.doubt()


def _is_stream(data: object) -> bool:
    """Return whether a second sending of this body might send something else."""
    return data is not None and not isinstance(data, bytes | str | dict | list | tuple)


def open_session(conf: ConfigOpts, auth: BaseAuthPlugin, *, verify: bool | str = True,
                 cert: str | tuple[str, str] | None = None,
                 discovery: dict[str, Any] | None = None,
                 adapter: BaseAdapter | None = None) -> OperationSession:
    """Return a session for one operation. Sessions of one process may share `discovery`."""
    size = conf.limits.workers + conf.limits.carriers
    return OperationSession(
        auth, Transport(size, adapter), verify=verify, cert=cert, discovery=discovery,
        timeouts=(conf.http.connect_timeout, conf.http.read_timeout))
