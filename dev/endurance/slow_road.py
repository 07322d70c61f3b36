"""A slow road to Glance: a TCP proxy that limits the rate of each connection.

nginx's stream module passes bytes on as they are, headers, tokens and all, and looks into none of
them. Its limits are per connection, so operations side by side do not take each other's share, and
a limit is kept by timers, not by a busy process.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.endurance.place import Trouble

MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
PATH = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"
PATIENCE = 10.0

# Small buffers towards the client: else megabytes would vanish into the kernel at full speed, and
# the end of an upload would come long after its last byte was written.
CONF = """
load_module {module};
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 1024; }}
stream {{
    log_format journey '$msec $bytes_received $bytes_sent $session_time';
    access_log {journeys} journey;
    server {{
        listen {host}:{port} rcvbuf=64k sndbuf=64k backlog=128;
        proxy_pass {host}:{target};
        proxy_buffer_size 64k;
        proxy_upload_rate {rate};
        proxy_download_rate {rate};
        proxy_timeout 600s;
    }}
}}
"""


@dataclass(frozen=True)
class Journey:
    """One connection that is over. Bytes: `up` from the client, `down` to it."""

    up: int
    down: int
    seconds: float


@dataclass(frozen=True)
class SlowRoad:
    """`rate` is in bytes per second, of each connection and direction."""

    address: str
    rate: int
    journeys_file: Path

    def journeys(self) -> list[Journey]:
        """What went over it so far."""
        if not self.journeys_file.exists():
            return []
        rows = [line.split() for line in self.journeys_file.read_text().splitlines()]
        return [Journey(int(up), int(down), float(seconds)) for _, up, down, seconds in rows]


@contextlib.contextmanager
def slow_road(directory: Path, host: str, target: int, rate: int) -> Iterator[SlowRoad]:
    """A proxy before `host`:`target` for as long as the context lasts."""
    directory.mkdir(parents=True, exist_ok=True)
    journeys = directory / "journeys.log"
    journeys.unlink(missing_ok=True)
    port = _free_port(host)
    conf = directory / "nginx.conf"
    conf.write_text(CONF.format(module=MODULE, directory=directory, host=host, port=port,
                                target=target, rate=rate, journeys=journeys))
    program = shutil.which("nginx", path=PATH)
    if program is None:
        raise Trouble("there is no nginx: `make cloud-up` installs it")
    process = subprocess.Popen([program, "-p", str(directory), "-c", str(conf)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        _wait(process, host, port, directory / "error.log")
        yield SlowRoad(f"http://{host}:{port}", rate, journeys)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _free_port(host: str) -> int:
    with socket.socket() as one:
        one.bind((host, 0))
        return int(one.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], host: str, port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.05)
    raise Trouble(f"nginx does not answer: {log.read_text() if log.exists() else ''}")
