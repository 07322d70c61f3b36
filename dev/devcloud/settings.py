"""What a cloud was asked to be, and where its files are."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PLUGINS = pathlib.Path(__file__).resolve().parent / "plugins"

PASSWORD = "devcloud"  # one for every account: the cloud listens on loopback only
REGION = "RegionOne"

DEFAULT_SERVICES = (
    "keystone",
    "glance",
    "swift",
    "cinder",
    "placement",
    "neutron",
    "nova",
    "barbican",
    "manila",
)


class DevcloudError(Exception):
    """Something that the person at the terminal has to know about; the message says it all."""


@dataclasses.dataclass
class Settings:
    """The options of one cloud; kept in its state, so that a later `up` changes what it names."""

    host: str
    services: list[str] = dataclasses.field(default_factory=list)
    token_expiration: int = 3600
    allow_expired_window: int = 172800
    token_cache_time: int = 300
    posix_backup: bool = False
    backup_swift_service_auth: bool = True
    service_token_roles: dict[str, str] = dataclasses.field(default_factory=dict)
    token_cache_times: dict[str, int] = dataclasses.field(default_factory=dict)
    debug: bool = False

    def changed(self, **options: Any) -> Settings:
        """These settings with the options that are not None; services are only ever added."""
        given = {name: value for name, value in options.items() if value is not None}
        asked = given.pop("services", [])
        unknown = set(asked) - set(DEFAULT_SERVICES)
        if unknown:
            have = ", ".join(DEFAULT_SERVICES)
            raise DevcloudError(f"unknown service {', '.join(sorted(unknown))} (have: {have})")
        wanted = {*self.services, *asked}
        given["services"] = [name for name in DEFAULT_SERVICES if name in wanted]
        roles = {**self.service_token_roles, **given.get("service_token_roles", {})}
        given["service_token_roles"] = {k: role for k, role in roles.items() if role != "service"}
        times = {**self.token_cache_times, **given.get("token_cache_times", {})}
        usual = given.get("token_cache_time", self.token_cache_time)
        given["token_cache_times"] = {k: int(n) for k, n in times.items() if int(n) != usual}
        return dataclasses.replace(self, **given)


class State:
    """The directory that holds everything of one cloud."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root.resolve()
        self.etc = self.root / "etc"
        self.log = self.root / "log"
        self.data = self.root / "data"
        self.run = self.root / "run"
        self.home = self.root / "home"
        self.clouds_yaml = self.root / "clouds.yaml"
        self._settings = self.root / "settings.json"

    @classmethod
    def default(cls) -> State:
        """The one named by DEVCLOUD_STATE, or that of this clone."""
        return cls(pathlib.Path(os.environ.get("DEVCLOUD_STATE") or REPOSITORY / ".devcloud"))

    def create(self) -> None:
        """Passwords, keys, databases and logs are below it: nobody else may look in."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for directory in (self.etc, self.log, self.data, self.run / "done", self.home):
            directory.mkdir(parents=True, exist_ok=True)

    def exists(self) -> bool:
        return self._settings.exists()

    def settings(self) -> Settings:
        """The recorded settings; an error when no cloud was ever started here."""
        if not self.exists():
            raise DevcloudError(f"there is no cloud in {self.root}: start one with `make cloud-up`")
        return Settings(**json.loads(self._settings.read_text()))

    def record(self, settings: Settings) -> None:
        text = json.dumps(dataclasses.asdict(settings), indent=1) + "\n"
        temporary = self._settings.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self._settings)

    def done(self, step: str) -> bool:
        """Whether a step that is made once per state (a schema, first data) is complete."""
        return (self.run / "done" / step).exists()

    def mark(self, step: str, text: str = "") -> None:
        (self.run / "done" / step).write_text(text)

    def marked(self, step: str) -> str | None:
        path = self.run / "done" / step
        return path.read_text() if path.exists() else None
