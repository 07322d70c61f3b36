"""Where it takes place: the dev cloud of this clone, and how long its tokens live."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keystoneauth1.session
from keystoneauth1.identity.v3 import Password
from openstack.connection import Connection

from dev.devcloud import ports
from dev.devcloud.settings import PASSWORD, REGION, REPOSITORY, State

PREFIX = "endurance-"
"""Everything that is made bears it, so that a later run can tidy up."""


class Trouble(Exception):
    """The run cannot go on; the message says why."""


@dataclass(frozen=True)
class Place:
    """The cloud, and `own`: a directory for what a run keeps."""

    state: State
    own: Path

    @property
    def host(self) -> str:
        return self.state.settings().host

    @property
    def auth_url(self) -> str:
        return f"http://{self.host}:{ports.KEYSTONE}/v3"

    def disk(self, server_id: str) -> Path:
        """A server's own disk: the bytes that its guest would see."""
        return self.state.data / "nova" / "instances" / server_id / "disk"

    def image(self, image_id: str) -> Path:
        """An image's bytes, where Glance keeps them."""
        return self.state.data / "glance" / "images" / image_id

    @contextlib.contextmanager
    def connect(self, user: str, project: str) -> Iterator[Connection]:
        """The SDK as one of the cloud's users, closed at the end. It logs in again when a token is
        refused, not before: by default it would for each request, with tokens of seconds."""
        session = keystoneauth1.session.Session(auth=Password(
            self.auth_url, username=user, password=PASSWORD, project_name=project,
            user_domain_name="Default", project_domain_name="Default", reauthenticate=False))
        connection = Connection(session=session, region_name=REGION)
        try:
            yield connection
        finally:
            connection.close()
            session.session.close()

    @contextlib.contextmanager
    def short_tokens(self, life: int, window: int, uncached: Sequence[str] = ()
                     ) -> Iterator[None]:
        """Tokens that live `life` seconds and count for `window` more, and no service (or none of
        these) remembers one that it has seen. Afterwards all is as it was."""
        before = self.state.settings()
        usual = before.token_cache_time
        self._lifetimes(life, window, _caches(dict.fromkeys(uncached, -1), -1))
        try:
            yield
        finally:
            own = {one: before.token_cache_times.get(one, usual) for one in uncached}
            self._lifetimes(before.token_expiration, before.allow_expired_window,
                            _caches(own, usual))

    def _lifetimes(self, life: int, window: int, caches: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "dev.devcloud", "up", f"--token-expiration={life}",
             f"--allow-expired-window={window}", caches],
            env=os.environ | {"DEVCLOUD_STATE": str(self.state.root)}, cwd=REPOSITORY,
            capture_output=True, text=True, check=False)
        if done.returncode:
            raise Trouble(f"the cloud did not start again:\n{done.stdout}{done.stderr}")


def _caches(own: Mapping[str, int], usual: int) -> str:
    """Only these services are restarted, if there are any."""
    if not own:
        return f"--token-cache-time={usual}"
    return "--token-cache-times=" + ",".join(f"{one}={time}" for one, time in own.items())


def find() -> Place:
    """The cloud of this clone, or of DEVCLOUD_STATE. Raises DevcloudError when there is none."""
    state = State.default()
    state.settings()
    own = state.root / "endurance"
    own.mkdir(exist_ok=True)
    return Place(state, own)
