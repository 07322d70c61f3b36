"""Tests on the development cloud: they need it up, and fail rather than skip when it is not."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import keystoneauth1.loading
import keystoneauth1.session
import openstack.connection
import pytest
import yaml

from dev.devcloud import ports
from dev.devcloud.processes import Processes
from dev.devcloud.settings import REPOSITORY, DevcloudError, Settings, State


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The SDK warns about its own calls of its own deprecated functions; here it is only a tool."""
    here = pathlib.Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            for kind in (
                "PendingDeprecationWarning",
                "openstack.warnings.OpenStackDeprecationWarning",
            ):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@dataclasses.dataclass(frozen=True)
class Cloud:
    """The running cloud and the levers that tests have on it."""

    state: State
    host: str

    @property
    def auth_url(self) -> str:
        return f"http://{self.host}:{ports.KEYSTONE}/v3"

    @property
    def clouds_yaml(self) -> pathlib.Path:
        return self.state.clouds_yaml

    @property
    def volumes(self) -> pathlib.Path:
        """Volumes and snapshots are raw files: volume-<id> and snapshot-<id>."""
        return self.state.data / "volumes"

    @property
    def settings(self) -> Settings:
        return self.state.settings()

    @contextlib.contextmanager
    def connection(self, name: str = "demo") -> Iterator[openstack.connection.Connection]:
        """The SDK as one of the users in clouds.yaml, closed at the end."""
        entry = yaml.safe_load(self.clouds_yaml.read_text())["clouds"][name]
        # not through the SDK's own loader of this file: it warns about what nobody configured
        session = keystoneauth1.session.Session(
            auth=keystoneauth1.loading.get_plugin_loader("password").load_from_options(
                **entry["auth"]
            )
        )
        connection = openstack.connection.Connection(
            session=session, region_name=entry["region_name"]
        )
        try:
            yield connection
        finally:
            connection.close()
            session.session.close()

    def run(self, *arguments: str) -> None:
        """`python -m dev.devcloud ...` on this cloud, such as `stop cinder-backup`."""
        done = subprocess.run(
            [sys.executable, "-m", "dev.devcloud", *arguments],
            env=os.environ | {"DEVCLOUD_STATE": str(self.state.root)},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"devcloud {' '.join(arguments)}\n{done.stdout}{done.stderr}")

    def set_token_lifetime(
        self,
        expiration: int | None = None,
        window: int | None = None,
        cache_time: int | None = None,
    ) -> None:
        """Restart Keystone with other lifetimes; `cache_time` restarts every service."""
        options = {
            "--token-expiration": expiration,
            "--allow-expired-window": window,
            "--token-cache-time": cache_time,
        }
        self.run("up", *(f"{name}={value}" for name, value in options.items() if value is not None))


@contextlib.contextmanager
def shared_cloud() -> Iterator[Cloud]:
    """The cloud of this clone, or of DEVCLOUD_STATE.

    Where several processes share the tests, those that are not about tokens of seconds get a
    second cloud, which is there while they run.
    """
    state = State.default()
    second = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1 and (
        os.environ["KARBOR_TESTS_OF"] == "cloud")
    if not second:
        yield running(state)
        return
    settings = state.settings()
    own = Cloud(State(state.root.with_name(state.root.name + "-2")), "")
    own.run("up", "--services", ",".join(settings.services),
            f"--token-expiration={settings.token_expiration}",
            f"--allow-expired-window={settings.allow_expired_window}",
            f"--token-cache-time={settings.token_cache_time}")
    yield running(own.state)
    own.run("down")


def running(state: State) -> Cloud:
    try:
        settings = state.settings()
    except DevcloudError as error:
        pytest.fail(str(error))
    processes = Processes(state)
    dead = [name for name in processes.names() if not processes.alive(name)]
    if dead or not processes.names():
        pytest.fail(f"the cloud in {state.root} is not up ({dead or 'stopped'}): `make cloud-up`")
    return Cloud(state, settings.host)


@pytest.fixture
def original_tokens(cloud: Cloud) -> Iterator[None]:
    """Put the token lifetimes back, for a test that changes them."""
    before = cloud.settings
    yield
    now = cloud.settings
    cache_changed = now.token_cache_time != before.token_cache_time
    if (now.token_expiration, now.allow_expired_window) != (
        before.token_expiration,
        before.allow_expired_window,
    ) or cache_changed:
        cloud.set_token_lifetime(
            before.token_expiration,
            before.allow_expired_window,
            before.token_cache_time if cache_changed else None,
        )
