"""A cloud, a user's clouds.yaml and a karbor.conf: what an option does is seen from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from karbor_testing.openstack import Double

from karbor import config
from karbor.cli.program import karbor
from tests.chaos.application import Person

DEADLINE_SECONDS = 120.0


class Place:
    """One person's Karbor, or one service, on the double. `volume` is theirs."""

    def __init__(self, root: Path, double: Double, volume: str) -> None:
        self.root, self.double, self.volume = root, double, volume

    def configure(self, default: str = "", sections: str = "", *, vouched: bool = True
                  ) -> config.ConfigOpts:
        """Lines of [DEFAULT], and sections beside those that are always there. `vouched`: with a
        [service_user]."""
        account = "".join(f"{name} = {value}\n"
                          for name, value in self.double.cloud("karbor")["auth"].items())
        (self.root / "karbor.conf").write_text(
            (f"[DEFAULT]\nstate_path = {self.root / 'state'}\n" if "state_path" not in default
             else "[DEFAULT]\n") + default + "\n" + (
                f"[service_user]\nauth_type = password\n{account}" if vouched else "")
            + sections + "\n")
        return config.load([self.root / "karbor.conf"])

    def command(self, *words: str, code: int | None = 0, user: str = "demo") -> Result:
        ended = CliRunner(env={"OS_CLOUD": user}).invoke(karbor, list(words))
        assert code is None or ended.exit_code == code, (ended.output, ended.exception)
        return ended


@pytest.fixture(scope="module")
def cloud() -> Iterator[tuple[Double, str]]:
    with Double() as double:
        double.set(looks={"*": 0})
        person = Person(double)
        volume = person.make("volume/v3/volumes", "volume", name="data", size=1)["id"]
        double.write("cinder.volume", volume, b"data" * 1000)
        person.close()
        double.keep("start")
        yield double, volume


@pytest.fixture
def place(cloud: tuple[Double, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    double, volume = cloud
    double.bring_back("start")
    for name, value in {
            "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"),
            "OS_CLIENT_CONFIG_FILE": str(double.clouds_yaml(tmp_path / "clouds.yaml")),
            "KARBOR_CONFIG": str(tmp_path / "karbor.conf")}.items():
        monkeypatch.setenv(name, value)
    return Place(tmp_path, double, volume)


def until(what: Callable[[], object], why: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not what():
        assert time.monotonic() < deadline, why
        threading.Event().wait(0.01)
