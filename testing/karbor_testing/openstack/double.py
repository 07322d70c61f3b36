"""Double: the process of the double as a test holds it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from karbor_testing.openstack.keystone import ACCOUNTS, PASSWORD


class Double:
    """A cloud for one test or many. Starts when entered, ends when left.

    Its methods ask the control routes, which are neither counted nor recorded nor hit by faults.
    """

    def __init__(self, *, seed: int = 1, **settings: Any) -> None:
        self._seed = seed
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(    # noqa: S603 (our own module)
            [sys.executable, "-m", "karbor_testing.openstack", "--seed", str(self._seed),
             "--while-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the double ended with {self._process.wait()}")
        self.url = json.loads(line)["url"]
        if self._settings:
            self.set(**self._settings)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=30)

    # what stands in it

    def dump(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Everything, by kind (`cinder.volume`) and id; data as `bytes` and `sha256`."""
        found: dict[str, dict[str, dict[str, Any]]] = self._ask("GET", "state")
        return found

    def ledger(self) -> list[dict[str, Any]]:
        """What was ever created and removed: event, kind, id, record (as it was created)."""
        found: list[dict[str, Any]] = self._ask("GET", "ledger")
        return found

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        """Requests: number, method, path, signature, mutates, status, project, faults."""
        found: list[dict[str, Any]] = self._ask("GET", f"log?after={after}")
        return found

    def forget_log(self) -> None:
        self._ask("DELETE", "log")

    def read(self, kind: str, id: str) -> bytes:
        """The data of a volume (cinder.volume), image, object, or a server's own disk."""
        with urlopen(f"{self.url}/_double/data/{kind}/{id}", timeout=60) as answer:  # noqa: S310
            data: bytes = answer.read()
        return data

    # what a test does to it

    def set(self, **settings: Any) -> None:
        """Change settings: see `cloud.Settings`."""
        self._ask("PUT", "settings", settings)

    def fault(self, act: str, **wanted: Any) -> None:
        """Plan a fault: see `faults`."""
        self._ask("POST", "faults", {"act": act, **wanted})

    def faults(self) -> list[dict[str, Any]]:
        """The planned faults with how often each was `seen` (matched) and `fired`."""
        found: list[dict[str, Any]] = self._ask("GET", "faults")
        return found

    def heal(self) -> None:
        """No more faults."""
        self._ask("DELETE", "faults")

    def keep(self, name: str = "") -> None:
        """Remember everything, for `bring_back`; changes that are under way end before it."""
        self._ask("PUT", f"kept/{name or 'start'}")

    def bring_back(self, name: str = "") -> None:
        """Everything as it was kept, without faults and log. Clients of before are cut off: their
        open connections are closed at the next request."""
        self._ask("POST", f"kept/{name or 'start'}")

    def settle(self) -> None:
        """Every change that is not held comes to its end now."""
        self._ask("POST", "settle")

    def advance(self, seconds: float) -> None:
        """The cloud's clock (tokens, time stamps) goes on at once."""
        self._ask("POST", "advance", {"seconds": seconds})

    def write(self, kind: str, id: str, data: bytes) -> None:
        """Data as a user of the volume or server would have written them."""
        self._send("PUT", f"data/{kind}/{id}", data, "application/octet-stream")

    def edit(self, kind: str, id: str, **members: Any) -> None:
        """Members of a record as a test wants them, e.g. status="error"."""
        self._ask("PATCH", f"record/{kind}/{id}", members)

    def drop(self, kind: str, id: str) -> None:
        """The thing is gone, without anybody having asked."""
        self._ask("DELETE", f"record/{kind}/{id}")

    # how clients reach it

    @property
    def auth_url(self) -> str:
        return f"{self.url}/identity/v3"

    def cloud(self, user: str = "demo") -> dict[str, Any]:
        """The entry of clouds.yaml for one of its accounts."""
        return {"auth": {"auth_url": self.auth_url, "username": user, "password": PASSWORD,
                         "project_name": ACCOUNTS[user][0], "user_domain_id": "default",
                         "project_domain_id": "default"},
                "region_name": "RegionOne", "identity_api_version": "3"}

    def clouds_yaml(self, path: Path) -> Path:
        """Write a clouds.yaml (JSON is YAML) with one cloud per account, named after the user."""
        path.write_text(json.dumps({"clouds": {user: self.cloud(user) for user in ACCOUNTS}},
                                   indent=1))
        return path

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        raw = None if body is None else json.dumps(body).encode()
        answer = self._send(method, path, raw, "application/json")
        return json.loads(answer) if answer else None

    def _send(self, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        request = Request(f"{self.url}/_double/{path}", body, {"Content-Type": kind},  # noqa: S310
                          method=method)
        try:
            with urlopen(request, timeout=60) as answer:    # noqa: S310 (its address is our own)
                data: bytes = answer.read()
        except HTTPError as error:
            raise RuntimeError(f"the double refuses {method} {path}: {error.read().decode()}"
                               ) from error
        return data
