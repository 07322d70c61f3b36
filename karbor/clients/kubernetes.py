"""Kubernetes: the API server of the cluster that belongs to a project. It is no service of the
cloud: no catalog knows it, and it does not know Keystone's tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from keystoneauth1.session import Session
from requests.adapters import BaseAdapter

from karbor.clients.service import Service
from karbor.config import ConfigOpts
from karbor.credentials.transport import Transport
from karbor.domain.errors import CloudError, ServiceAbsent

NAME = "kubernetes"
KUBERNETES = Service(name=NAME, types=(), version_path="", sdk="")


def serves(conf: ConfigOpts, project_id: str) -> bool:
    """Return whether this project has a cluster."""
    return bool(conf.kubernetes.endpoint) and conf.kubernetes.project_id == project_id


def address(conf: ConfigOpts, project_id: str) -> str:
    """Return the address of the cluster's API. Raises ServiceAbsent, with what to do."""
    if not conf.kubernetes.endpoint:
        raise ServiceAbsent("no Kubernetes cluster is configured", service=NAME,
                            remedy="say in karbor.conf where its API server is: [kubernetes] "
                                   "endpoint, project_id, token_file, ca_file")
    if not serves(conf, project_id):
        raise ServiceAbsent("the Kubernetes cluster that is configured belongs to another project",
                            service=NAME, remedy="[kubernetes] project_id says to which")
    return f"{str(conf.kubernetes.endpoint).rstrip('/')}/api/v1"


class ClusterSession(Session):  # type: ignore[misc]
    """keystoneauth's session without Keystone: it bears the token of the cluster, which is read
    from its file for every request. `%(namespace)s` in an address is replaced."""

    def __init__(self, conf: ConfigOpts, adapter: BaseAdapter | None = None) -> None:
        self.transport = Transport(conf.limits.workers, adapter)
        super().__init__(session=self.transport, app_name="karbor",
                         verify=conf.kubernetes.ca_file or True)
        self._token_file = conf.kubernetes.token_file
        self._namespace = quote(conf.kubernetes.namespace, safe="")
        self._timeouts = (conf.http.connect_timeout, conf.http.read_timeout)

    def request(self, url: str, method: str, **options: Any) -> requests.Response:
        """Send one request with the token of the moment. Raises CloudError when there is no token,
        and what keystoneauth raises."""
        headers = {**options.pop("headers", {}), **self._bearing()}
        answer: requests.Response = super().request(
            url.replace("%(namespace)s", self._namespace), method, headers=headers,
            authenticated=False, redirect=False, **{"timeout": self._timeouts, **options})
        return answer

    def watch(self) -> Callable[[], bool]:
        """Return what looks at an answer (see OperationSession): nothing, since this credential is
        never changed in mid-flight."""
        return lambda: False

    def close(self) -> None:
        self.transport.close()

    def _bearing(self) -> dict[str, str]:
        if not self._token_file:
            return {}
        try:
            token = Path(self._token_file).expanduser().read_text().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", "") or "it is no text"
            raise CloudError(f"the token of Kubernetes cannot be read: {reason}", service=NAME,
                             remedy=f"[kubernetes] token_file is {self._token_file}") from error
        return {"Authorization": f"Bearer {token}"}
