"""The few administrator's requests that put first objects into the services.

Plain HTTP: importing the SDK would take longer than all of them together.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from dev.devcloud.cloud import Cloud
from dev.devcloud.settings import PASSWORD, DevcloudError


class TokenOverError(DevcloudError):
    """A service refused the token."""


LOGINS = 5  # for one request: tokens may live for seconds only, and a busy machine takes longer


class Admin:
    """A session of the user `admin`. It logs in again when its token is over."""

    def __init__(self, cloud: Cloud) -> None:
        self._auth_url = cloud.auth_url
        self._log_in()

    def _log_in(self) -> None:
        user = {"name": "admin", "password": PASSWORD, "domain": {"id": "default"}}
        project = {"name": "admin", "domain": {"id": "default"}}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": project},
            }
        }
        self._headers: dict[str, str] = {}
        _, headers = self._once("POST", f"{self._auth_url}/auth/tokens", body)
        self._headers["X-Auth-Token"] = headers["X-Subject-Token"]

    def get(self, url: str, **headers: str) -> Any:
        return self._send("GET", url, None, headers)[0]

    def post(self, url: str, body: Any, **headers: str) -> Any:
        return self._send("POST", url, body, headers)[0]

    def _send(
        self, method: str, url: str, body: Any, headers: dict[str, str] | None = None
    ) -> tuple[Any, Any]:
        for _ in range(LOGINS):
            try:
                return self._once(method, url, body, headers)
            except TokenOverError:  # what was refused so was not done
                self._log_in()
        return self._once(method, url, body, headers)

    def _once(
        self, method: str, url: str, body: Any, headers: dict[str, str] | None = None
    ) -> tuple[Any, Any]:
        extra = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        request = urllib.request.Request(
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self._headers, **extra},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                text = answer.read()
                return (json.loads(text) if text else None), answer.headers
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:1000]
            kind = TokenOverError if error.code == 401 else DevcloudError
            raise kind(f"{method} {url}: {error.code} {detail}") from error
        except OSError as error:
            raise DevcloudError(f"{method} {url}: {error}") from error
