"""Session: what one operation says to the cloud, on its credential and its connections."""

from __future__ import annotations

from typing import Any

import requests
from keystoneauth1.exceptions import from_response
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from requests.adapters import BaseAdapter

from karbor.config import ConfigOpts
from karbor.credentials.transport import Transport


class OperationSession(Session):  # type: ignore[misc]
    """keystoneauth's session with three rules more.

    - **A stream is sent once.** keystoneauth answers a 401 (and follows a redirect) by sending the
      request again; of a file or generator nothing is left by then, and a service stores 0 bytes
      and says 200. So a body that is not bytes is never resent; the credential is renewed, for
      whoever begins anew, and the response bears `credential_renewed`.
    - Every request has a time to connect and a time to answer.
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
        if not _is_stream(options.get("data")):
            whole: requests.Response = super().request(url, method, **options)
            return whole
        raise_exc = options.pop("raise_exc", True)
        options.update(allow_reauth=False, redirect=False, connect_retries=0,
                       status_code_retries=0)
        response: requests.Response = super().request(url, method, raise_exc=False, **options)
        if response.status_code == 401:
            renewed = self.invalidate(options.get("auth"))
            response.credential_renewed = renewed   # type: ignore[attr-defined]
        if raise_exc and response.status_code >= 300:
            # 3xx too: the body went to somebody who did not want it.
            raise from_response(response, method, url)
        return response


def _is_stream(data: object) -> bool:
    """Whether a second sending of this body might send something else."""
    return data is not None and not isinstance(data, bytes | str | dict | list | tuple)


def open_session(conf: ConfigOpts, auth: BaseAuthPlugin, *, verify: bool | str = True,
                 cert: str | tuple[str, str] | None = None,
                 discovery: dict[str, Any] | None = None,
                 adapter: BaseAdapter | None = None) -> OperationSession:
    """A session for one operation. Sessions of one process may share `discovery`."""
    size = conf.limits.workers + conf.limits.carriers
    return OperationSession(
        auth, Transport(size, adapter), verify=verify, cert=cert, discovery=discovery,
        timeouts=(conf.http.connect_timeout, conf.http.read_timeout))
