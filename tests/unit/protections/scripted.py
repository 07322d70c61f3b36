"""A cloud that answers from a script, and the work of one step: for plugins without any HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from karbor_testing.bank import MemoryBank

from karbor.clients.services import LOOKED
from karbor.domain.errors import CloudNotFound
from karbor.domain.resource import Resource, ResourceGraph
from karbor.plugin.bank import Bank, Section
from karbor.plugin.vault_location import VaultLocation

Answer = Any


class ScriptedApi:
    """`script` maps "METHOD /path" to what is answered: a value, an exception to raise, or a
    function of the request's body or parameters. What has no entry is not found."""

    def __init__(self, service: str, script: Mapping[str, Answer], log: list[str]) -> None:
        self._service = service
        self._script = script
        self._log = log
        self.sent: list[tuple[str, Any]] = []

    def _answer(self, method: str, path: str, given: Any = None) -> Any:
        request = f"{method} {path}"
        self._log.append(f"{self._service} {request}")
        self.sent.append((request, given))
        if request not in self._script:
            raise CloudNotFound(f"{self._service} has no {path}", request=request, status=404)
        answer = self._script[request]
        if isinstance(answer, Exception):
            raise answer
        return answer(given) if callable(answer) else answer

    def get(self, path: str, *, params: Any = None, version: str | None = None) -> Any:
        return self._answer("GET", path, params)

    def post(self, path: str, body: Any = None, *, version: str | None = None) -> Any:
        return self._answer("POST", path, body)

    def put(self, path: str, body: Any = None, *, version: str | None = None) -> Any:
        return self._answer("PUT", path, body)

    def patch(self, path: str, body: Any, *, headers: Any = None) -> Any:
        return self._answer("PATCH", path, body)

    def delete(self, path: str, *, params: Any = None) -> None:
        try:
            self._answer("DELETE", path, params)
        except CloudNotFound:
            return

    def list(self, path: str, key: str, *, params: Any = None, version: str | None = None
             ) -> list[dict[str, Any]]:
        return list(self._answer("LIST", path, params or {}))

    def head(self, path: str) -> Mapping[str, str]:
        return self._answer("HEAD", path)

    def download(self, path: str, *, offset: int = 0, size: int | None = None
                 ) -> Iterator[bytes]:
        body: bytes = self._answer("DOWNLOAD", path, offset)
        return iter([body[offset:None if size is None else offset + size]])

    def upload(self, path: str, body: Iterable[bytes], *, size: int | None = None) -> None:
        self._answer("UPLOAD", path, b"".join(body))


class ScriptedCloud:
    """`script` maps a service to the script of its API, and `looks` kind#id to record or None; a
    thing that is not there is looked at as its service shows it alone."""

    user_id = "user"
    project_id = "project"
    project_name = "demo"

    def __init__(self, looks: Mapping[str, Any] | None = None, **script: Mapping[str, Answer]
                 ) -> None:
        self.log: list[str] = []
        self.looks = dict(looks or {})
        self.apis = {name: ScriptedApi(name, one, self.log) for name, one in script.items()}

    def api(self, service: str) -> ScriptedApi:
        return self.apis[service]

    def has(self, service: str) -> bool:
        return service in self.apis

    def client(self, service: str) -> Any:
        raise NotImplementedError

    def look(self, kind: str, id: str) -> Any:
        self.log.append(f"look {kind} {id}")
        if f"{kind}#{id}" in self.looks:
            found = self.looks[f"{kind}#{id}"]
            return found() if callable(found) else found
        service, looked = LOOKED[kind]
        try:
            body = self.apis[service.name].get(looked.one + id)
        except (CloudNotFound, KeyError):
            return None
        return body[looked.item] if looked.item else body

    def asked(self, id: str) -> dict[str, str]:
        return {}

    def ensure_credential(self, seconds: float) -> float | None:
        return None

    def interval(self, kind: str) -> float:
        return 1.0

    def first_poll_delay(self, kind: str) -> float:
        return 0.0


class StepOf:
    """The Work of one entry of one step."""

    mark = "karbor:op:abc"
    checkpoint_id = "checkpoint-1"
    operation_id = "op"

    def __init__(self, resource: Resource, cloud: ScriptedCloud, *,
                 graph: ResourceGraph | None = None, bank: Bank | None = None,
                 saved: Mapping[str, Any] | None = None, kept: Mapping[str, Any] | None = None,
                 parameters: Mapping[str, Any] | None = None,
                 handle: Mapping[str, Any] | None = None, entered_before: bool = False,
                 stopping: Callable[[], bool] = lambda: False) -> None:
        self.resource = resource
        self.cloud = cloud
        self.graph = graph or ResourceGraph.build([resource], lambda level: {})
        bank = bank or MemoryBank()
        self.bank = Section(bank, "section")
        self.vault = VaultLocation(Section(bank, "projects/project"))
        self.parameters = parameters or {}
        self.handle = handle or {}
        self.entered_before = entered_before
        self.reports: list[Any] = []
        self._saved = dict(saved or {})
        self._kept = dict(kept or {})
        self._stopping = stopping

    def saved(self, stage: str, resource: Resource | None = None) -> Mapping[str, Any]:
        return self._saved.get(stage, {})

    def kept(self, stage: str, resource: Resource | None = None) -> Mapping[str, Any]:
        return self._kept.get(stage, {})

    def ensure_credential(self, size: int | None) -> None:
        self.cloud.log.append(f"ensure_credential {size}")

    def report(self, progress: Any) -> None:
        self.reports.append(progress)

    @property
    def stopping(self) -> bool:
        return self._stopping()
