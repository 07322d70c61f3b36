"""Karbor's configuration with a [service_user], and users who have logged in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from dev.devcloud.settings import PASSWORD
from karbor import config
from karbor.config import ConfigOpts
from karbor.credentials.authority import Authority, Login


@dataclass(frozen=True)
class User:
    """What a service has of a user: a token, what Keystone says of it, and how long it lives."""

    token: str
    body: Mapping[str, Any]
    life: float


@contextmanager
def configured(auth_url: str) -> Iterator[ConfigOpts]:
    """The account `karbor` of the dev cloud, or of its stand-in, as [service_user]."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "karbor.conf"
        file.write_text(f"""[DEFAULT]
state_path = {place}/state

[service_user]
auth_type = password
auth_url = {auth_url}
username = karbor
password = {PASSWORD}
project_name = service
user_domain_name = Default
project_domain_name = Default
""")
        yield config.load([file])


def password(auth_url: str, name: str, project: str) -> v3.Password:
    """keystoneauth's own plugin."""
    return v3.Password(auth_url=auth_url, username=name, password=PASSWORD, project_name=project,
                       user_domain_name="Default", project_domain_name="Default")


def log_in(auth_url: str, name: str = "demo") -> User:
    with closing_session() as session:
        access = password(auth_url, name, name).get_access(session)
    return User(access.auth_token, {"token": access._data["token"]},
                (access.expires - access.issued).total_seconds())


@contextmanager
def closing_session(auth: Any = None) -> Iterator[Session]:
    """A session of keystoneauth's, as anybody makes it. Only its end leaves its connections."""
    session = Session(auth=auth)
    try:
        yield session
    finally:
        session.session.close()


@contextmanager
def logged_in(authority: Authority, auth_url: str, region: str = "Region1") -> Iterator[Login]:
    """Karbor's login of the user `demo`, by a clouds.yaml."""
    with tempfile.TemporaryDirectory() as place:
        clouds = Path(place) / "clouds.yaml"
        clouds.write_text(f"""clouds:
  bench:
    region_name: {region}
    auth: {{auth_url: "{auth_url}", username: demo, password: {PASSWORD}, project_name: demo,
           user_domain_name: Default, project_domain_name: Default}}
""")
        with mock.patch.dict(os.environ, {"OS_CLIENT_CONFIG_FILE": str(clouds)}):
            login = authority.represent("bench")
        with closing(authority.service().session), closing(login.session):
            yield login
