"""The whole application on a database of its own, with people instead of Keystone."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import falcon.testing
import pytest
import sqlalchemy as sa

from karbor import config
from karbor.api.application import make_app
from karbor.api.authentication import Wsgi
from karbor.api.dependencies import Dependencies
from karbor.cmd.api_wiring import wire
from karbor.domain.errors import NotFound
from karbor.providers.schemas import EnabledProviders
from karbor.store.connect import connect
from karbor.store.upgrade import upgrade
from tests.unit.api.documented import must_be_documented
from tests.unit.api.people import MEMBER, Person, fake_keystone
from tests.unit.api.service import ListedService

PROVIDER = "cf56bd3e-97a7-4078-b6d5-f36246333fd9"


class Schemas(EnabledProviders):
    """One provider, which knows options for volumes."""

    def options(self, provider_id: str) -> Mapping[str, Mapping[str, Any]]:
        if provider_id != PROVIDER:
            raise NotFound(f"Provider {provider_id} could not be found.")
        return {"OS::Cinder::Volume": {"type": "object", "properties": {
            "backup_mode": {"type": "string"}, "backup_name": {"type": "string"},
            "force": {"type": "boolean"}}}, "OS::Neutron::Network": {}}


def wiring_of(conf: config.ConfigOpts, engine: sa.Engine, service: ListedService | None = None
              ) -> Dependencies:
    ticks = itertools.count(1_000_000)
    service = service or ListedService(conf, engine)
    return replace(wire(service, lambda: None), providers=Schemas(service.providers),
                   clock=lambda: float(next(ticks)))


@dataclass
class Api:
    """Requests of one person, with paths below /v1/{their project}. Every answer is compared with
    the OpenAPI document."""

    app: Wsgi
    wiring: Dependencies
    person: Person | None = MEMBER

    def of(self, person: Person | None) -> Api:
        return Api(self.app, self.wiring, person)

    def __call__(self, method: str, path: str, json: Any = None, *, project: str = "",
                 status: int | None = 200, **more: Any) -> falcon.testing.Result:
        headers = {**(self.person.headers if self.person else {}), **more.pop("headers", {})}
        project = project or (self.person or MEMBER).project_id
        answer = falcon.testing.simulate_request(
            self.app, method, f"/v1/{project}{path}", headers=headers, json=json, **more)
        assert status is None or answer.status_code == status, answer.text
        must_be_documented(method, f"/v1/{project}{path}", answer)
        return answer

    def make_plan(self, **more: Any) -> dict[str, Any]:
        plan: dict[str, Any] = self("POST", "/plans", {"plan": new_plan(**more)}).json["plan"]
        return plan


def new_plan(**more: Any) -> dict[str, Any]:
    return {"name": "My app", "provider_id": PROVIDER, "parameters": {},
            "resources": [{"id": "v-1", "type": "OS::Cinder::Volume", "name": "v1"}]} | more


@pytest.fixture
def conf(tmp_path: Path) -> config.ConfigOpts:
    return configured(tmp_path, "osapi_max_limit = 3\n")


def configured(place: Path, more: str = "") -> config.ConfigOpts:
    file = place / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {place}\n{more}")
    return config.load([file])


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making the tables takes ten times as long as copying them."""
    path: Path = tmp_path_factory.mktemp("empty") / "karbor.sqlite"
    engine = connect(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[sa.Engine]:
    shutil.copy(empty_database, tmp_path / "karbor.sqlite")
    engine = connect(f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def serve(conf: config.ConfigOpts, engine: sa.Engine) -> Callable[..., Api]:
    def make(**limits: int) -> Api:
        for kind, limit in limits.items():
            conf.set_override(f"quota_{kind}", limit)
        wiring = wiring_of(conf, engine)
        return Api(make_app(conf, wiring, fake_keystone), wiring)

    return make


@pytest.fixture
def api(serve: Callable[..., Api]) -> Api:
    return serve()
