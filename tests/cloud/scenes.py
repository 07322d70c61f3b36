"""Scenes of the ladder's tests: each has a user and project of its own, all are played at once."""

from __future__ import annotations

import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from karbor.clients.cloud import OpenStackCloud
from karbor.clients.connect import Connector
from karbor.credentials.delegation import Delegator
from karbor.domain.application_credential import ApplicationCredential
from karbor.domain.errors import TokenUnsettled
from tests.cloud.conftest import Cloud
from tests.cloud.somebody import Somebody, new_somebody
from tests.cloud.speaking import Speaking, speaking

AT_ONCE = 8
LOCK = threading.Lock()


@dataclass
class Scene:
    """What a scene is played with: `name` is the user's entry of clouds.yaml."""

    somebody: Somebody
    name: str
    speak: Speaking
    clouds: pathlib.Path

    def add_entry(self, name: str, entry: Mapping[str, Any]) -> None:
        with LOCK:
            known = yaml.safe_load(self.clouds.read_text())
            known["clouds"][name] = dict(entry)
            new = self.clouds.with_suffix(".new")
            new.write_text(yaml.safe_dump(known))
            new.replace(self.clouds)


Play = Callable[[Scene], None]


@contextmanager
def playing(cloud: Cloud, scenes: Mapping[str, Play], tmp_path_factory: pytest.TempPathFactory
            ) -> Iterator[Mapping[str, Future[None]]]:
    """How each scene went, by its name."""
    clouds = tmp_path_factory.mktemp("clouds") / "clouds.yaml"
    clouds.write_text(cloud.clouds_yaml.read_text())
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(AT_ONCE) as pool:
        speak = {name: speaking(cloud, tmp_path_factory.mktemp("scene"), patch) for name in scenes}
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))

        def play(name: str) -> None:
            with new_somebody(cloud) as somebody:
                one = Scene(somebody, somebody.user.name, speak[name], clouds)
                one.add_entry(one.name, somebody.entry())
                scenes[name](one)
        yield {name: pool.submit(play, name) for name in scenes}


@dataclass
class Begun:
    """An operation that was accepted: what it keeps, and what it has told of itself."""

    connector: Connector
    kept: Mapping[str, Any]
    live: OpenStackCloud
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deadline = float(self.kept["deadline"])    # of the rung it begins on

    def connect(self, *, elsewhere: bool = False) -> OpenStackCloud:
        def changed(credential: Mapping[str, Any], why: str) -> None:
            self.kept = credential
            self.told.append(why)
        return self.connector.resume(self.kept, live=None if elsewhere else self.live,
                                     changed=changed)

    def end(self) -> None:
        self.connector.authority.end(self.kept)


def begin(connector: Connector, name: str, needed: float = 60.0,
          registered: ApplicationCredential | None = None) -> Begun:
    live = connector.log_in(name)
    delegation = Delegator(connector.authority, live.login, lambda _project, _user: registered)
    return Begun(connector, delegation.grant(delegation.choose(needed)), live)


def until(moment: float) -> None:
    """Wait for a moment of the clock: a deadline cannot be hurried."""
    time.sleep(max(0.0, moment - time.time()))


def speaks(opened: OpenStackCloud, service: str = "glance") -> None:
    path, key = {"glance": ("/images", "images"), "neutron": ("/networks", "networks"),
                 "nova": ("/servers", "servers"), "cinder": ("/volumes", "volumes")}[service]
    assert isinstance(opened.api(service).list(path, key), list)


def token(opened: OpenStackCloud) -> str:
    return str(opened.factory.session.get_token())


def settled(ask: Callable[[], None]) -> None:
    """As a driver does: what is refused for a moment is asked for again."""
    end = time.time() + 30
    while True:
        try:
            return ask()
        except TokenUnsettled:
            assert time.time() < end
            time.sleep(1)


def until_refused(opened: OpenStackCloud) -> None:
    """Ask services that have not seen the token yet: none answers from its cache."""
    for service in ("neutron", "cinder", "nova"):
        speaks(opened, service)
