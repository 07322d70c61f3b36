"""What a service of the cloud is to the rest of devcloud."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import ClassVar

from dev.devcloud.cloud import Cloud


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """An entry of the service catalog; {host} in the address stands for the cloud's."""

    name: str
    type: str
    url: str


class Service:
    """One service.  The steps are called in the order of the methods below, each idempotent.

    Steps of different services run at the same time, so that a service must name what has to be
    complete before it: `needs` are services that have to be part of the cloud at all, and
    `after` those that have to answer before this one is started.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    after: ClassVar[tuple[str, ...]] = ()
    databases: ClassVar[tuple[str, ...]] = ()
    user: ClassVar[str | None] = None
    endpoints: ClassVar[tuple[Endpoint, ...]] = ()
    setup_files: ClassVar[tuple[pathlib.Path, ...]] = ()

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.state = cloud.state
        self.processes = cloud.processes
        self.host = cloud.host
        self.etc = cloud.state.etc / self.name

    def configure(self) -> None:
        """Write the configuration."""

    def create_schema(self) -> None:
        """Fill the databases, which exist and are empty: once per state, and then copied."""

    def start(self) -> None:
        """Start the processes and wait until they answer."""

    def introduce(self) -> None:
        """See that its processes know of each other, each time; Keystone answers by then."""

    def seed(self) -> None:
        """Create the first objects through the service's own API: once per state."""
