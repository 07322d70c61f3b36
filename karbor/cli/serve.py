"""karbor serve, karbor worker, karbor-wsgi: Karbor as a service."""

from __future__ import annotations

import click

from karbor.cli.error_handling import answering
from karbor.cli.invocation import common_without, this
from karbor.cli.output import say


@click.command(short_help="Serve the REST API and drive operations, in one process.")
@common_without("cloud", "provider", "format")
@answering
def serve() -> None:
    """Run Karbor as a service in one process: the REST API, the worker that drives operations, and
    the schedules.

    SIGTERM stops it gracefully: what is under way goes on with the next start. SIGHUP makes it read
    its configuration again.
    """
    _run(api=True, worker=True)


@click.command(short_help="Drive operations and schedules; the API is served elsewhere.")
@common_without("cloud", "provider", "format")
@answering
def worker() -> None:
    """Run a worker, which drives the operations of all projects. Any number of them may share a
    PostgreSQL database, on any number of machines.

    SIGTERM and SIGHUP as for karbor serve.
    """
    _run(api=False, worker=True)


@click.command(short_help="Serve the REST API only; workers drive what it accepts.")
@common_without("cloud", "provider", "format")
@answering
def api() -> None:
    """Run the REST API in a process of its own. Other WSGI servers take
    karbor.cmd.wsgi:application."""
    _run(api=True, worker=False)


def _run(*, api: bool, worker: bool) -> None:
    from karbor import config  # noqa: PLC0415 - slow imports, only when there is work
    from karbor.cmd import logs  # noqa: PLC0415
    from karbor.cmd.serve import Server  # noqa: PLC0415

    conf = config.load(this().config_files or None)
    logs.set_up(conf)
    server = Server(conf, api=api, worker=worker)
    server.heed_signals()
    with server:
        say(f"serving at {server.address}" if server.address else "working")
        server.wait()
        say("stopping")
