"""APIs run under uWSGI, each on its port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dev.devcloud.cloud import Cloud
from dev.devcloud.settings import PLUGINS


def ensure(
    cloud: Cloud,
    name: str,
    module: str,
    port: int,
    *,
    files: Iterable[Any],
    environment: Mapping[str, str] | None = None,
    processes: int = 1,
    threads: int = 8,
    arguments: str = "",
) -> None:
    """Start a WSGI application; `arguments` is for those that read sys.argv (Cinder, Manila)."""
    cloud.claim(name, port)
    command = [
        cloud.bin("uwsgi"),
        *("--http-socket", f"{cloud.host}:{port}", "--module", module),
        *("--venv", cloud.venv, "--pythonpath", PLUGINS, "--procname-prefix", name),
        *("--master", "--die-on-term", "--need-app", "--lazy-apps", "--thunder-lock"),
        *("--processes", processes, "--threads", threads, "--enable-threads"),
        *("--hook-master-start", "unix_signal:15 gracefully_kill_them_all"),
        *("--worker-reload-mercy", 5, "--listen", 100),
        *("--buffer-size", 65535, "--add-header", "Connection: close"),
        # glanceclient (in Cinder and Nova) sends chunks of 1 MiB; uWSGI's limit is just below
        *("--chunked-input-limit", 16 << 20, "--chunked-input-timeout", 60),
        *("--socket-timeout", 60, "--http-timeout", 600),
        *("--logformat", '%(addr) "%(method) %(uri)" %(status) %(msecs)ms rsize=%(rsize)'),
    ]
    if arguments:
        command += ["--pyargv", arguments]
    cloud.processes.ensure(name, command, environment or cloud.environment(), files)
