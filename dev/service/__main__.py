"""`python -m dev.service up|down|status`; see `make service-up`."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from dev.service.place import Place
from dev.service.registration import register

PATIENCE = 90.0     # seconds: a slow machine imports for long, and a stop waits for requests

NEXT = """\
service: Karbor answers at {url}, registered as data-protect; its log is {log}

    export OS_CLIENT_CONFIG_FILE={clouds} OS_CLOUD=demo
    .venv/bin/karbor schedule list
    curl {url}/             # the versions; also /healthcheck, /metrics, /v1/openapi.json

  with the client of Karbor 1.x, in an environment of its own:
    python3 -m venv old && old/bin/pip install -r tests/compat/requirements.txt
    old/bin/openstack data protection provider list

  make service-down stops it.
"""


def up(place: Place) -> None:
    place.configure()
    if register(place):
        sys.stderr.write(f"service: registered in Keystone as data-protect, at {place.url}\n")
    started = _start(place) if _running(place) is None else None
    _wait_for(place, started)
    sys.stdout.write(NEXT.format(url=place.url, log=place.log, clouds=place.cloud.clouds_yaml))


def _start(place: Place) -> subprocess.Popen[bytes]:
    karbor = pathlib.Path(sys.executable).with_name("karbor")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    with place.output() as out:
        started = subprocess.Popen(
            [karbor, "serve", "--config-file", place.configuration], env=environment,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    place.write(place.pid_file, f"{started.pid}\n")
    return started


def _wait_for(place: Place, started: subprocess.Popen[bytes] | None) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), \
                urllib.request.urlopen(f"{place.url}/healthcheck"):
            return
        # One that was begun a moment ago may have no command line yet, and is asked itself.
        if _running(place) is None if started is None else started.poll() is not None:
            break
        time.sleep(0.2)
    told = (place.root / "karbor.out").read_text().splitlines()[-20:]
    sys.exit("\n".join(["service: it does not answer; the end of what it said:", *told]))


def down(place: Place) -> None:
    pid = _running(place)
    if pid is None:
        sys.stdout.write("service: it does not run\n")
        return
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while _running(place) is not None:
        if time.monotonic() > end:
            sys.exit(f"service: process {pid} does not end; see {place.log}")
        time.sleep(0.1)
    place.pid_file.unlink(missing_ok=True)
    sys.stdout.write("service: stopped; what was under way goes on with the next start\n")


def status(place: Place) -> None:
    pid = _running(place)
    if pid is None:
        sys.exit("service: it does not run")
    sys.stdout.write(f"service: process {pid} at {place.url}; log {place.log}\n")


def _running(place: Place) -> int | None:
    """Its process, if it is one of ours that lives."""
    try:
        pid = int(place.pid_file.read_text())
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return None
    return pid if b"serve" in command and state != "Z" else None


def main() -> None:
    commands = {"up": up, "down": down, "status": status}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python -m dev.service {'|'.join(commands)}")
    commands[sys.argv[1]](Place.here())


if __name__ == "__main__":
    main()
