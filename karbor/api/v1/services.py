"""Services of the API: /os-services, the processes of Karbor that drive operations."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from karbor.api.bodies import Description
from karbor.api.call import Call
from karbor.api.route_declaration import QueryParameter, Resource, route
from karbor.domain.errors import BadInput, NotFound
from karbor.domain.service import WORKER, Service, ServiceProcess, ServiceStatus
from karbor.domain.times import iso_timestamp

UP, DOWN = "up", "down"     # as Karbor 1.x has them


class ServiceChange(msgspec.Struct, forbid_unknown_fields=True):
    """Without an envelope, as Karbor 1.x has it."""

    status: Annotated[str, Meta(pattern="^(enabled|disabled)$")]
    disabled_reason: Description | None = None


class ProcessView(msgspec.Struct):
    """One process, with the ids of the operations that it has. One that is `down` and has some is
    stopped or hangs: they go on elsewhere when it has been ended."""

    pid: int
    machine: str
    state: str
    updated_at: str
    operations: list[str]


class ServiceView(msgspec.Struct):
    """All processes of one kind on one host. `state` is `up` while one of them gives signs of
    life; one that is disabled takes nothing new, and finishes what it has. `processes` are those
    that give signs of life or have operations."""

    id: int
    binary: str
    host: str
    status: str
    state: str
    updated_at: str
    disabled_reason: str | None
    processes: list[ProcessView]


class ServiceBody(msgspec.Struct):
    service: ServiceView


class ServicesBody(msgspec.Struct):
    services: list[ServiceView]


HOST = QueryParameter("host", "Only those of this host.", {"type": "string"})
BINARY = QueryParameter("binary", "Only those of this name.", {"type": "string"})


class Services(Resource):
    tag = "services"

    @route("GET", "/os-services", rule="service:get_all", answer=ServicesBody,
           query=(HOST, BINARY))
    def list(self, call: Call[None]) -> ServicesBody:
        """List the services that drive operations."""
        services = self._needs.services.list(host=call.query.get("host"),
                                             binary=call.query.get("binary"))
        processes = self._needs.service_processes()
        return ServicesBody([self._view(service, processes) for service in services])

    @route("PUT", "/os-services/{service_id}", rule="service:update", body=ServiceChange,
           answer=ServiceBody, refuses=(404,), text=("service_id",))
    def update(self, call: Call[ServiceChange]) -> ServiceBody:
        """Let a service take new work, or not."""
        change, services = call.body, self._needs.services
        service = services.show(_id(call.path["service_id"]))
        if service.binary != WORKER:
            raise BadInput(
                f"service {service.id} is {service.binary}: only {WORKER} can be enabled "
                "or disabled"
            )
        status = ServiceStatus(change.status)
        if change.disabled_reason is not None and status is ServiceStatus.ENABLED:
            raise BadInput("disabled_reason is for a service that is disabled")
        changed = services.set_status(service.id, status, change.disabled_reason)
        return ServiceBody(self._view(changed, self._needs.service_processes()))

    def _view(self, service: Service, processes: Sequence[ServiceProcess]) -> ServiceView:
        its = [self._process(other) for other in processes
               if (other.binary, other.host) == (service.binary, service.host)]
        return ServiceView(
            service.id,
            service.binary,
            service.host,
            service.status.value,
            self._state(service),
            iso_timestamp(service.updated_at),
            service.disabled_reason,
            [it for it in its if it.state == UP or it.operations],
        )

    def _process(self, service_process: ServiceProcess) -> ProcessView:
        return ProcessView(
            service_process.pid,
            service_process.machine,
            self._state(service_process),
            iso_timestamp(service_process.updated_at),
            builtins.list(service_process.operations),
        )

    def _state(self, service: Service | ServiceProcess) -> str:
        return UP if service.up(self._needs.clock(), self._needs.service_down_time()) else DOWN


def _id(text: str) -> int:
    """Raises NotFound: what is no number is the id of nothing."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise NotFound(f"Service {text} could not be found.")
    return int(text)
