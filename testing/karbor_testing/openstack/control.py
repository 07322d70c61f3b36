"""Control: the levers of the double, as routes below `/_double/`."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from karbor.domain.errors import BadInput
from karbor_testing.openstack.cloud import Cloud, Kept, need
from karbor_testing.openstack.exchange import Answer, Refusal, Request
from karbor_testing.openstack.faults import Fault
from karbor_testing.openstack.service import Part, Service, route

if TYPE_CHECKING:
    from karbor_testing.openstack.server import Server


class Levers(Part):
    server: Server

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._kept: dict[str, Kept] = {}

    @route("PUT", "/kept/{name}")
    def keep(self, _request: Request, name: str) -> Answer:
        """Remember everything under this name; changes that are under way end before it."""
        self._kept[name] = self.cloud.keep()
        return Answer(204)

    @route("POST", "/kept/{name}")
    def bring_back(self, _request: Request, name: str) -> Answer:
        """Everything as it was, no faults, no log; requests of earlier clients never count."""
        need(name in self._kept, 404, f"nothing was kept as {name}")
        self.cloud.bring_back(self._kept[name])
        self.server.plan.faults.clear()
        self.server.log.clear()
        self.server.generation += 1
        return Answer(204)

    @route("GET", "/state")
    def state(self, _request: Request) -> Answer:
        """Everything there is, by kind and id."""
        return Answer(200, self.cloud.dump())

    @route("GET", "/ledger")
    def ledger(self, _request: Request) -> Answer:
        """What was ever created and removed, in order."""
        return Answer(200, self.cloud.ledger)

    @route("GET", "/log")
    def log(self, request: Request) -> Answer:
        """Requests since the log was last emptied; `after=N` leaves out the first N."""
        return Answer(200, self.server.log[int(request.one("after", "0")):])

    @route("DELETE", "/log")
    def forget(self, _request: Request) -> Answer:
        self.server.log.clear()
        return Answer(204)

    @route("GET", "/faults")
    def faults(self, _request: Request) -> Answer:
        return Answer(200, [fault.to_dict() for fault in self.server.plan.faults])

    @route("POST", "/faults")
    def plan(self, request: Request) -> Answer:
        try:
            self.server.plan.faults.append(Fault(**request.json()))
        except (BadInput, TypeError) as error:
            raise Refusal(400, str(error)) from error
        return Answer(201, {})

    @route("DELETE", "/faults")
    def heal(self, _request: Request) -> Answer:
        self.server.plan.faults.clear()
        return Answer(204)

    @route("GET", "/settings")
    def settings(self, _request: Request) -> Answer:
        return Answer(200, asdict(self.cloud.settings))

    @route("PUT", "/settings")
    def change(self, request: Request) -> Answer:
        known = {field.name for field in fields(self.cloud.settings)}
        for name, value in request.json().items():
            need(name in known, 400, f"no setting is called {name}")
            setattr(self.cloud.settings, name, value)
        return Answer(200, asdict(self.cloud.settings))

    @route("POST", "/settle")
    def settle(self, _request: Request) -> Answer:
        """Every change that is not held comes to its end now."""
        self.cloud.settle()
        return Answer(204)

    @route("POST", "/advance")
    def advance(self, request: Request) -> Answer:
        """The cloud's clock goes on by so many seconds at once."""
        self.cloud.offset += float(request.json()["seconds"])
        return Answer(204)

    @route("PUT", "/data/{kind}/{id+}")
    def write(self, request: Request, kind: str, id: str) -> Answer:
        """The bytes of a volume (cinder.volume) or of a server's own disk (nova.server)."""
        self._record(kind, id)["_bytes"] = request.body
        return Answer(204)

    @route("GET", "/data/{kind}/{id+}")
    def read(self, _request: Request, kind: str, id: str) -> Answer:
        return Answer(200, bytes(self._record(kind, id).get("_bytes", b"")))

    @route("PATCH", "/record/{kind}/{id+}")
    def edit(self, request: Request, kind: str, id: str) -> Answer:
        """Members of a record as a test wants them, e.g. status: error."""
        self._record(kind, id).update(request.json())
        return Answer(204)

    @route("DELETE", "/record/{kind}/{id+}")
    def drop(self, _request: Request, kind: str, id: str) -> Answer:
        """The thing is gone, as if an operator had removed it behind everybody's back."""
        self._record(kind, id)
        self.cloud.remove(kind, id)
        return Answer(204)

    def _record(self, kind: str, id: str) -> dict[str, Any]:
        found = self.cloud.kinds[kind].get(id)
        if found is None:
            raise Refusal(404, f"there is no {kind} {id}")
        return found


class Control(Service):
    name = "_double"
    open = (r"/.*",)
    parts = (Levers,)

    def attach(self, server: Server) -> None:
        self.cloud.part(Levers).server = server

