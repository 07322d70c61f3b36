"""The API behind Keystone's own middleware, on the real Keystone."""

from __future__ import annotations

import contextlib
import datetime
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import falcon.testing
import keystoneauth1.loading
import keystoneauth1.session
import pytest
import yaml

from karbor import config
from karbor.api.application import make_app
from karbor.api.authentication import Wsgi
from karbor.application.service_context import ServiceContext
from karbor.cmd.api_wiring import wire
from karbor.credentials.user_auth import user_auth
from karbor.providers.schemas import EnabledProviders
from karbor.store.connect import connect
from karbor.store.upgrade import upgrade
from tests.cloud.conftest import Cloud


def account_of(cloud: Cloud, name: str) -> str:
    auth = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"][name]["auth"]
    return "".join(f"{key} = {value}\n" for key, value in {"auth_type": "password", **auth}.items())


@contextlib.contextmanager
def serving(cloud: Cloud, place: Path, section: str) -> Iterator[Wsgi]:
    """With the account of this service in one section or another."""
    file = place / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {place}\n[{section}]\n"
                    + account_of(cloud, "karbor"))
    engine = connect(f"sqlite:///{place / 'karbor.sqlite'}")
    upgrade(engine)
    conf = config.load([file])

    class Providers(EnabledProviders):
        def options(self, provider_id: str) -> dict[str, Any]:
            return {}

    service = ServiceContext(conf, engine)
    yield make_app(conf, replace(wire(service, lambda: None),
                                 providers=Providers(service.providers)))
    engine.dispose()


@pytest.fixture(params=["service_user", "keystone_authtoken"])
def app(cloud: Cloud, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Wsgi]:
    with serving(cloud, tmp_path, request.param) as app:
        yield app


@pytest.fixture
def service_user_app(cloud: Cloud, tmp_path: Path) -> Iterator[Wsgi]:
    with serving(cloud, tmp_path, "service_user") as app:
        yield app


def test_a_token_is_asked_of_keystone(app: Wsgi, cloud: Cloud) -> None:
    def ask(path: str, token: str | None, method: str = "GET", **more: Any) -> Any:
        return falcon.testing.simulate_request(
            app, method, path, headers={"X-Auth-Token": token} if token else {}, **more)

    with cloud.connection("demo") as demo, cloud.connection("reader") as reader:
        project = demo.current_project_id
        plans = f"/v1/{project}/plans"
        assert ask(plans, demo.auth_token).json == {"plans": []}
        assert ask(plans.replace(project, "another"), demo.auth_token).status_code == 400
        body = {"plan": {"name": "p", "provider_id": project, "parameters": {}, "resources": [
            {"id": "1", "type": "OS::Cinder::Volume", "name": "v"}]}}
        assert ask(plans, demo.auth_token, "POST", json=body).status_code == 200
        assert len(ask(plans, reader.auth_token).json["plans"]) == 1
        assert ask(plans, reader.auth_token, "POST", json=body).status_code == 403
        for nobody in (None, "gAAAAAstolen"):
            refused = ask(plans, nobody)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"].startswith("Keystone uri=")
            assert refused.headers["x-openstack-request-id"].startswith("req-")
            assert next(iter(refused.json.values()))["message"]


def test_what_the_middleware_tells_makes_a_user_auth_plugin(
        cloud: Cloud, service_user_app: Wsgi, monkeypatch: pytest.MonkeyPatch) -> None:
    from karbor.api import endpoints

    seen = []
    real = endpoints.from_environ
    monkeypatch.setattr(endpoints, "from_environ",
                        lambda environ: seen.append(real(environ)) or seen[-1])
    with cloud.connection("demo") as demo:
        falcon.testing.simulate_get(
            service_user_app, f"/v1/{demo.current_project_id}/plans",
            headers={"X-Auth-Token": demo.auth_token})
        [context] = seen
        assert context.caller.user_id == demo.current_user_id
        assert context.caller.methods == ("password",)
        assert "member" in context.caller.roles
        assert demo.auth_token not in repr(context)
        auth = user_auth(context.token, context.token_body, cloud.auth_url)
        access = auth.get_access(demo.session)
        assert (access.auth_token, access.project_id) == (demo.auth_token,
                                                          demo.current_project_id)
        assert context.caller.expires_at == access.expires.timestamp()
        assert auth.get_endpoint(demo.session, service_type="volumev3", interface="public")


def test_a_token_that_was_taken_back_is_refused(service_user_app: Wsgi, cloud: Cloud) -> None:
    with cloud.connection("demo") as demo:
        project, token = demo.current_project_id, demo.auth_token
        demo.session.delete(f"{cloud.auth_url}/auth/tokens", headers={"X-Subject-Token": token})
        answer = falcon.testing.simulate_get(
            service_user_app, f"/v1/{project}/plans", headers={"X-Auth-Token": token})
        assert answer.status_code == 401


@contextlib.contextmanager
def short_lived(cloud: Cloud, connection: Any, seconds: float) -> Iterator[str]:
    """A token that ends with the application credential that it was got with."""
    url = f"{cloud.auth_url}/users/{connection.current_user_id}/application_credentials"
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    made = connection.session.post(url, json={"application_credential": {
        "name": uuid.uuid4().hex, "expires_at": end.replace(tzinfo=None).isoformat()}})
    credential = made.json()["application_credential"]
    try:
        plugin = keystoneauth1.loading.get_plugin_loader("v3applicationcredential")
        yield keystoneauth1.session.Session(auth=plugin.load_from_options(
            auth_url=cloud.auth_url, application_credential_id=credential["id"],
            application_credential_secret=credential["secret"])).get_token()
    finally:
        connection.session.delete(f"{url}/{credential['id']}")


def test_an_expired_token_needs_the_word_of_a_service(service_user_app: Wsgi, cloud: Cloud
                                                      ) -> None:
    with cloud.connection("demo") as demo, cloud.connection("karbor") as service, \
            short_lived(cloud, demo, 2.5) as token:
        path = f"/v1/{demo.current_project_id}/plans"

        def status(**more: str) -> int:
            answer = falcon.testing.simulate_get(
                service_user_app, path, headers={"X-Auth-Token": token, **more})
            return int(answer.status_code)

        assert status() == 200
        give_up = time.monotonic() + 20
        while status() != 401:
            assert time.monotonic() < give_up, "the token does not end"
            time.sleep(0.1)
        assert status(**{"X-Service-Token": demo.auth_token}) == 401
        assert status(**{"X-Service-Token": service.auth_token}) == 200
