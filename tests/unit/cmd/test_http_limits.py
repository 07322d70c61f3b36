"""Strangers keep nobody out: neither with bodies nor with requests that never end."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from karbor.cmd import http_limits
from karbor.cmd.http import HttpServer
from karbor.cmd.http_limits import HttpLimits

DEADLINE = 30.0
pytestmark = pytest.mark.filterwarnings("ignore:send_bytes:DeprecationWarning")


class Application:
    """Answers with how long the body was; counts who came by."""

    def __init__(self) -> None:
        self.asked = 0
        self._came = threading.Event()
        self.hold = threading.Event()
        self.hold.set()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]
                 ) -> Iterable[bytes]:
        self.asked += 1
        self._came.set()
        self.hold.wait(DEADLINE)
        length = str(len(environ["wsgi.input"].read())).encode()
        start_response("200 OK", [("Content-Length", str(len(length)))])
        return [length]

    def wait_until_asked(self) -> None:
        assert self._came.wait(DEADLINE)


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def serve(application: Application) -> Iterator[Callable[..., int]]:
    with ExitStack() as stack:
        def begin(*, connections: int = 50, body_bytes: int = 1000, receive_seconds: float = 60.0,
                  bodies_bytes: int = 1_000_000) -> int:
            return stack.enter_context(HttpServer(
                application, "127.0.0.1", 0, threads=2,
                limits=HttpLimits(connections, body_bytes, receive_seconds, bodies_bytes))).port

        yield begin


def connect(port: int, sent: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
    made.sendall(sent)
    return made


def heard(connection: socket.socket) -> bytes:
    """Until the server closes, or an answer is whole."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        try:
            more = connection.recv(4096)
        except ConnectionResetError:
            return raw
        if not more:
            return raw
        raw += more
    return raw


def closed(connections: list[socket.socket]) -> socket.socket:
    """The first of these that the server closes; which of them has been silent for longest it
    knows better than whoever connected."""
    ready, _, _ = select.select(connections, [], [], DEADLINE)
    assert ready
    assert heard(ready[0]) == b""
    return ready[0]


def ask(port: int) -> bytes:
    with connect(port, b"GET / HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n") as connection:
        return heard(connection)


def post(length: int, *headers: str) -> bytes:
    return "\r\n".join(["POST /v1/p/plans HTTP/1.1", "Host: k", f"Content-Length: {length}",
                        *headers, "", ""]).encode()


TOKEN = "X-Auth-Token: t"


@pytest.mark.parametrize("head", [
    post(900), post(1 << 30), post(900, "X-Auth-Token:"), post(900, "Expect: 100-continue"),
    b"POST / HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_who_has_no_token_sends_no_body(
        serve: Callable[..., int], application: Application, head: bytes) -> None:
    """The answer comes before a byte of the body was sent."""
    with connect(serve(), head) as connection:
        answer = heard(connection)
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 413 "))
    assert b"100 Continue" not in answer
    assert application.asked == 0


def test_a_body_has_a_limit(serve: Callable[..., int], application: Application) -> None:
    port = serve()
    with connect(port, post(1001, TOKEN)) as connection:
        assert heard(connection).startswith(b"HTTP/1.1 413 ")
    assert application.asked == 0
    with connect(port, post(1000, TOKEN) + b"x" * 1000) as connection:
        assert heard(connection).startswith(b"HTTP/1.1 200 ")


def test_half_sent_requests_shut_nobody_out(serve: Callable[..., int]) -> None:
    port = serve(connections=20)
    halves = [connect(port, b"GET / HTTP/1.1\r\nHo") for _ in range(30)]
    halves += [connect(port, post(900, TOKEN) + b"x") for _ in range(30)]
    for _ in range(5):
        assert ask(port).startswith(b"HTTP/1.1 200 ")
    assert heard(halves[0]) == b""      # the oldest were closed
    for one in halves:
        one.close()


CHUNKED = b"POST / HTTP/1.1\r\nHost: k\r\nX-Auth-Token: t\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("half", [post(900, TOKEN) + b"x" * 899,
                                  CHUNKED + b"384\r\n" + b"x" * 899], ids=["length", "chunked"])
def test_bodies_that_arrive_have_a_bound_together(
        serve: Callable[..., int], application: Application, half: bytes) -> None:
    """Whoever has no good token can make one up: the oldest of their bodies makes room where all
    have come equally far."""
    port = serve(bodies_bytes=4000)
    halves = [connect(port, half) for _ in range(4)]
    for _ in range(3):
        with connect(port, post(1000, TOKEN, "Connection: close") + b"x" * 1000) as connection:
            assert heard(connection).startswith(b"HTTP/1.1 200 ")
        gone = closed(halves)
        gone.close()
        halves.remove(gone)
        halves.append(connect(port, half))
    assert application.asked == 3
    for one in halves:
        one.close()


def test_bodies_that_are_being_answered_keep_their_place(
        serve: Callable[..., int], application: Application) -> None:
    port = serve(bodies_bytes=1500)
    application.hold.clear()
    under_way = connect(port, post(1000, TOKEN, "Connection: close") + b"x" * 1000)
    application.wait_until_asked()
    with connect(port, post(1000, TOKEN) + b"x" * 1000) as connection:
        answer = heard(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in answer
    with connect(port, post(400, TOKEN, "Connection: close") + b"x" * 400) as small:
        application.hold.set()
        assert heard(under_way).startswith(b"HTTP/1.1 200 ")
        assert heard(small).startswith(b"HTTP/1.1 200 ")
    with connect(port, post(1000, TOKEN) + b"x" * 1000) as connection:
        assert heard(connection).startswith(b"HTTP/1.1 200 ")
    under_way.close()


def test_what_is_being_answered_makes_no_room(
        serve: Callable[..., int], application: Application) -> None:
    port = serve(connections=4)
    application.hold.clear()
    under_way = connect(port, post(3, TOKEN, "Connection: close") + b"abc")
    application.wait_until_asked()
    halves = [connect(port, b"GET") for _ in range(12)]
    assert heard(halves[0]) == b""
    application.hold.set()
    assert heard(under_way).startswith(b"HTTP/1.1 200 ")
    for one in [*halves, under_way]:
        one.close()


def test_a_request_that_drips_in_has_a_time(
        serve: Callable[..., int], application: Application) -> None:
    port = serve(receive_seconds=1.0)
    stopped = threading.Event()
    with connect(port, b"GET / HTTP/1.1\r\n") as connection:
        def drip() -> None:
            while not stopped.wait(0.1):
                try:
                    connection.sendall(b"A: b\r\n")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert heard(connection) == b""
        finally:
            stopped.set()
            dripping.join()
    assert application.asked == 0


def test_one_that_says_nothing_is_closed(serve: Callable[..., int]) -> None:
    with connect(serve(receive_seconds=0.5), b"") as connection:
        assert heard(connection) == b""


def test_a_server_whose_loop_has_met_its_closed_socket_stops_all_the_same(
        application: Application) -> None:
    """As when a connection comes in at the moment of the stop: waitress takes the error for the
    server's end, and closes what wakes its loop."""
    server = HttpServer(application, "127.0.0.1", 0, threads=2, limits=HttpLimits(50, 1000, 60.0))
    with server:
        idle = connect(server.port, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert b"200 OK" in idle.recv(1000)
        server._server.trigger.pull_trigger(server._server.close)
        end = time.monotonic() + DEADLINE
        while len(server._sockets) > 1:     # the connection is left
            assert time.monotonic() < end
            time.sleep(0.01)
        server.stop()
        assert not server._thread.is_alive()
    idle.close()


def test_nothing_is_dropped_for_what_has_no_place_even_then(
        serve: Callable[..., int], application: Application) -> None:
    port = serve(bodies_bytes=1500)
    application.hold.clear()
    under_way = connect(port, post(1000, TOKEN, "Connection: close") + b"x" * 1000)
    application.wait_until_asked()
    with (connect(port, post(300, TOKEN, "Connection: close") + b"x" * 100) as half,
          connect(port, post(900, TOKEN) + b"x" * 900) as large):
        assert heard(large).startswith(b"HTTP/1.1 503 ")
        half.sendall(b"x" * 200)
        application.hold.set()
        assert heard(under_way).startswith(b"HTTP/1.1 200 ")
        assert heard(half).startswith(b"HTTP/1.1 200 ")
    under_way.close()


def test_what_is_only_announced_takes_no_place(
        serve: Callable[..., int], application: Application) -> None:
    """Seventeen headers must not end an honest upload."""
    port = serve(bodies_bytes=1500)
    with connect(port, post(1000, TOKEN, "Connection: close") + b"x" * 600) as honest:
        forged = [connect(port, post(1000, TOKEN) + b"x") for _ in range(17)]
        assert ask(port).startswith(b"HTTP/1.1 200 ")       # all of them have been read
        honest.sendall(b"x" * 400)
        assert heard(honest).startswith(b"HTTP/1.1 200 ")
        for one in forged:
            one.close()


def test_what_came_long_ago_makes_room_for_what_is_coming(
        serve: Callable[..., int], application: Application, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture) -> None:
    """Bodies that were sent but for their last byte, and drip since then."""
    monkeypatch.setattr(http_limits, "PROGRESS_SECONDS", 0.5)
    port = serve(bodies_bytes=2500)
    stalled = [connect(port, post(1000, TOKEN) + b"x" * 800) for _ in range(3)]
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        for one in stalled:
            one.sendall(b"x")
        time.sleep(0.05)
    with connect(port, post(900, TOKEN, "Connection: close") + b"x" * 450) as honest:
        gone = closed(stalled)
        honest.sendall(b"x" * 450)
        assert heard(honest).startswith(b"HTTP/1.1 200 ")
    gone.close()
    told = [one for one in caplog.messages if "of which least came" in one]
    assert len(told) == 1
    for one in stalled:
        one.close()
