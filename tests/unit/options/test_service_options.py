"""Options of a service: where it listens, how it is called, how often it looks, whom it lets in."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from karbor import config
from karbor.cmd.embedded import EmbeddedKarbor
from karbor.cmd.serve import Server
from karbor.domain.plan import Plan
from karbor.domain.service import WORKER
from karbor.store.connect import connect
from karbor.store.plans import Plans
from karbor.store.quotas import Quotas
from karbor.store.services import Services
from karbor.worker.executor import OperationExecutor
from karbor.worker.queue_poller import QueuePoller
from karbor.worker.worker import Worker
from tests.unit.cmd.test_http_limits import closed
from tests.unit.options.conftest import DEADLINE_SECONDS, Place, until

pytestmark = pytest.mark.filterwarnings("ignore:send_bytes:DeprecationWarning")
HERE = "osapi_karbor_listen = 127.0.0.1\nosapi_karbor_listen_port = 0\n"
HALF = b"POST /v1/p/plans HTTP/1.1\r\nHost: k\r\nX-Auth-Token: t\r\nContent-Length: 3000\r\n\r\nx"


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


def sent(server: Server, raw: bytes) -> socket.socket:
    host, _, port = server.address.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS)
    made.sendall(raw)
    return made


@contextmanager
def database_of(conf: config.ConfigOpts) -> Iterator[Any]:
    engine = connect(config.database_url(conf))
    try:
        yield engine
    finally:
        engine.dispose()


# ---------------------------------------------------------------- the server of the API
def test_it_listens_at_its_address_and_port(place: Place) -> None:
    port = free_port()
    conf = place.configure(f"osapi_karbor_listen = 127.0.0.2\nosapi_karbor_listen_port = {port}\n")
    with Server(conf, worker=False):
        assert requests.get(f"http://127.0.0.2:{port}/healthcheck", timeout=120).status_code == 200
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)


@pytest.mark.parametrize("threads", [1, 3])
def test_so_many_threads_answer(place: Place, threads: int) -> None:
    def names() -> Counter[str]:
        return Counter(one.name.partition("-")[0] for one in threading.enumerate())

    before = names()
    with Server(place.configure(f"{HERE}osapi_karbor_threads = {threads}"), worker=False):
        assert (names() - before)["waitress"] == threads


def test_so_many_connections_are_open_at_once(place: Place) -> None:
    conf = place.configure(f"{HERE}osapi_karbor_connections = 2")
    with Server(conf, worker=False) as server:
        connections = [sent(server, HALF) for _ in range(3)]
        closed(connections)         # it made room for the third
        for one in connections:
            one.close()


def test_a_request_has_so_much_time_to_arrive(place: Place) -> None:
    conf = place.configure(f"{HERE}osapi_karbor_receive_time = 0.1")
    with Server(conf, worker=False) as server, sent(server, HALF) as connection:
        assert connection.recv(1) == b""


@pytest.mark.parametrize(("option", "refused"), [
    ("", b""), ("osapi_max_request_body_size = 2000", b"HTTP/1.1 413 ")])
def test_a_body_has_so_many_bytes(place: Place, option: str, refused: bytes) -> None:
    with Server(place.configure(HERE + option), worker=False) as server, \
            sent(server, HALF) as connection:
        if refused:
            assert connection.recv(13) == refused
            return
        connection.sendall(b"x" * 2999)
        assert connection.recv(13) == b"HTTP/1.1 401 "


def test_all_bodies_together_have_so_many_bytes(place: Place) -> None:
    conf = place.configure(f"{HERE}osapi_max_bodies_size = 5000\n"
                           "osapi_max_request_body_size = 4000")
    with Server(conf, worker=False) as server:
        connections = [sent(server, HALF + b"x" * 2998) for _ in range(2)]
        closed(connections)
        for one in connections:
            one.close()


@pytest.mark.parametrize("api", ["true", "false"])
def test_the_api_tells_figures_where_that_is_wanted(place: Place, api: str) -> None:
    conf = place.configure(HERE, f"[metrics]\napi = {api}\n")
    with Server(conf, worker=False) as server:
        answer = requests.get(f"{server.address}/metrics", timeout=120)
    assert (answer.status_code == 200) == (api == "true")


@pytest.mark.parametrize(("fresh", "plans"), [("0", ["0.0", "1.0"]), ("3600", ["0.0", "0.0"])])
def test_figures_of_the_database_are_told_again_for_so_long(
        place: Place, fresh: str, plans: list[str]) -> None:
    conf = place.configure(HERE, f"[metrics]\napi = true\nfresh = {fresh}\n")
    with Server(conf, worker=False) as server, database_of(conf) as database:
        told = []
        for id in ("one", "two"):
            lines = requests.get(f"{server.address}/metrics", timeout=120).text.splitlines()
            told += [line.split()[1] for line in lines if line.startswith("karbor_plans ")]
            Plans(database, Quotas(database, {"plans": -1, "checkpoints": -1})).add(
                Plan(id, "p", id, "prov"))
    assert told == plans


# ---------------------------------------------------------------- workers
def test_a_worker_answers_prometheus_at_its_address_and_port(place: Place) -> None:
    port = free_port()
    conf = place.configure("", "[metrics]\nenabled = true\nlisten_address = 127.0.0.2\n"
                           f"listen_port = {port}\n")
    with Server(conf, api=False):
        assert "karbor_info" in requests.get(f"http://127.0.0.2:{port}/metrics", timeout=120).text


def test_its_machine_has_the_name_of_the_option(place: Place) -> None:
    conf = place.configure("host = worker-of-rack-7")
    with Server(conf, api=False), database_of(conf) as database:
        assert [one.host for one in Services(database).list(binary=WORKER)] == ["worker-of-rack-7"]


class Rounds:
    """Counts what a worker does in each of its rounds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count: Counter[str] = Counter()
        for where, name in ((Worker, "beat"), (QueuePoller, "look_for_providers"),
                            (QueuePoller, "take_up")):
            monkeypatch.setattr(where, name, self._counting(name, getattr(where, name)))

    def _counting(self, name: str, usual: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            self.count[name] += 1
            return usual(*arguments)

        return counted


@pytest.mark.parametrize(("option", "counted"), [("report_interval", "beat"),
                                                 ("sweep_interval", "look_for_providers")])
def test_a_worker_looks_as_often_as_it_is_told(
        place: Place, monkeypatch: pytest.MonkeyPatch, option: str, counted: str) -> None:
    """Each is done once before the rounds begin, and in the first of them."""
    often: dict[str, int] = {}
    for seconds in ("0.05", "3600"):
        rounds = Rounds(monkeypatch)
        with Server(place.configure(f"pickup_interval = 0.05\n{option} = {seconds}"), api=False):
            until(lambda one=rounds: one.count["take_up"] >= 10, "ten rounds")    # type: ignore[misc]
        often[seconds] = rounds.count[counted]
    assert often["3600"] == 2
    assert often["0.05"] >= 4


@pytest.mark.parametrize("seconds", [0.25, 40.0])
def test_a_round_comes_after_the_time_that_it_is_told(
        place: Place, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    pauses: list[float] = []
    waiting = threading.Event()

    class Wake(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            waiting.set()
            return super().wait(timeout)

    usual = Worker.__enter__

    def enter(worker: Worker) -> Worker:
        worker._wake = Wake()
        return usual(worker)

    monkeypatch.setattr(Worker, "__enter__", enter)
    with Server(place.configure(f"pickup_interval = {seconds}"), api=False):
        assert waiting.wait(DEADLINE_SECONDS)
    assert 0.8 * seconds <= pauses[0] <= 1.2 * seconds      # see JITTER


@pytest.mark.parametrize(("limits", "driven"), [
    ("provider_operations = 10\nproject_operations = 3\n", 3),
    ("provider_operations = 10\nproject_operations = 1\n", 1),
    ("provider_operations = 2\nproject_operations = 2\n", 2)])
def test_workers_drive_so_many_operations_at_once(
        place: Place, monkeypatch: pytest.MonkeyPatch, limits: str, driven: int) -> None:
    """Of three that wait: as many as one project, and all together, may have."""
    begun: list[str] = []
    over = threading.Event()

    def drive(_executor: Any, operation_id: str, _stopping: threading.Event) -> None:
        begun.append(operation_id)
        over.wait(DEADLINE_SECONDS)

    monkeypatch.setattr(OperationExecutor, "drive", drive)
    rounds = Rounds(monkeypatch)
    conf = place.configure("pickup_interval = 0.05", f"[limits]\n{limits}")
    with EmbeddedKarbor(conf, cloud="demo") as local:
        for number in range(3):
            local.offer(local.draft_protect([place.volume], name=f"c{number}"))
    try:
        with Server(conf, api=False):
            until(lambda: len(begun) >= driven, "operations are driven")
            before = rounds.count["take_up"]
            until(lambda: rounds.count["take_up"] >= before + 3, "three more rounds")
            assert len(begun) == driven
            over.set()
    finally:
        over.set()


def test_its_files_have_the_places_of_the_options(place: Place) -> None:
    conf = place.configure(
        f"state_path = {place.root / 'here'}",
        f"[credentials]\nkey_file = {place.root / 'keys' / 'seal'}\n"
        f"[database]\nconnection = sqlite:///{place.root / 'journal.sqlite'}\n"
        f"[fs_bank]\npath = {place.root / 'bank-of-mine'}\n")
    (place.root / "keys").mkdir()
    assert config.state_path(conf) == place.root / "here"
    place.command("protect", place.volume, "--name", "c")
    assert (place.root / "keys" / "seal").stat().st_mode & 0o777 == 0o600
    assert (place.root / "journal.sqlite").is_file()
    assert any((place.root / "bank-of-mine").rglob("*"))
    assert (place.root / "here").is_dir()
    there = {path.name for path in Path(place.root / "here").iterdir()}
    assert there & {"seal.key", "karbor.sqlite", "bank"} == set()
