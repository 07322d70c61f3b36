"""Starting the cloud: everything that can run at the same time does."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from dev.devcloud import accounts, install, ports, services, steps, template
from dev.devcloud.cloud import Cloud
from dev.devcloud.service import Service
from dev.devcloud.settings import DEFAULT_SERVICES, DevcloudError, Settings, State

_AT_ONCE = 6  # importing a service is pure CPU; more at a time only delays the first ones


def up(state: State, **options: Any) -> None:
    """Bring the cloud to what the options ask for; what is so already is left alone."""
    begin = time.monotonic()
    _timed("debian packages", install.ensure_packages)
    _timed("python environment", install.ensure_venv)
    state.create()
    settings = _settings(state, options)
    state.record(settings)
    cloud = Cloud(state, settings, install.venv_path())
    all_services = services.of(cloud)
    document = accounts.document(all_services, cloud.host)
    cloud.account_document = json.dumps(document, sort_keys=True)
    for service in all_services:
        service.configure()
    steps.run(_steps(cloud, all_services), _report, cloud.processes.cancelled.set, _AT_ONCE)
    dead = [name for name in cloud.processes.names() if not cloud.processes.alive(name)]
    if dead:
        raise DevcloudError(f"{dead[0]} died\n{cloud.processes.tail(dead[0])}")
    print(
        f"devcloud: up in {time.monotonic() - begin:.1f} s at {cloud.host}: "
        f"{', '.join(settings.services)}; tokens live {settings.token_expiration} s\n"
        f"devcloud: export OS_CLIENT_CONFIG_FILE={state.clouds_yaml} OS_CLOUD=demo",
        flush=True,
    )


def _settings(state: State, options: dict[str, Any]) -> Settings:
    if state.exists():
        settings = state.settings()
    else:
        settings = Settings(host=options.get("host") or ports.choose_host())
        options = options | {"services": options.get("services") or list(DEFAULT_SERVICES)}
    wanted = settings.changed(**{k: v for k, v in options.items() if k != "host"})
    if options.get("host") not in (None, settings.host):
        raise DevcloudError(f"this cloud is at {settings.host}: `down --wipe` before another one")
    complete = services.with_needs(wanted.services)
    return wanted.changed(services=[name for name in DEFAULT_SERVICES if name in complete])


def _steps(cloud: Cloud, all_services: list[Service]) -> list[steps.Step]:
    """Databases, start and first objects of each service."""
    databases, starts, introductions, seeds = [], [], [], []
    for service in all_services:
        after = [*service.after]
        if service.databases:
            name = f"{service.name} database"
            databases.append(steps.Step(name, _database(cloud, service), ("mariadb",)))
            after.append(name)
        starts.append(steps.Step(service.name, _start(service), tuple(after)))
        needed = ("keystone", service.name)
        if type(service).introduce is not Service.introduce:
            introductions.append(steps.Step(f"{service.name} parts", service.introduce, needed))
        if type(service).seed is not Service.seed:
            seeds.append(steps.Step(f"{service.name} objects", _seed(cloud, service), needed))
    # Keystone's first: the others' starts wait for it
    return [*starts[:3], *databases, *starts[3:], *introductions, *seeds]


def _database(cloud: Cloud, service: Service) -> Any:
    def action() -> str | None:
        mark = f"{service.name}-database"
        version = ""
        if service.name == "keystone":  # its content follows from the services of this cloud
            version = hashlib.sha256(cloud.account_document.encode()).hexdigest()
        if cloud.state.marked(mark) == version:
            return None
        if cloud.state.done(mark):
            service.create_schema()
            remark = "new accounts"
        else:
            remark = template.set_up(cloud, service)
        cloud.state.mark(mark, version)
        return remark

    return action


def _start(service: Service) -> Any:
    def action() -> str | None:
        before = set(_pids(service))
        service.start()
        return None if set(_pids(service)) == before else "started"

    return action


def _pids(service: Service) -> list[int]:
    """Its processes are named after it."""
    return [r.pid for r in service.processes.records() if r.name.startswith(service.name)]


def _seed(cloud: Cloud, service: Service) -> Any:
    def action() -> str | None:
        mark = f"{service.name}-objects"
        if cloud.state.done(mark):
            return None
        service.seed()
        cloud.state.mark(mark)
        return "created"

    return action


def _timed(name: str, action: Any) -> None:
    begin = time.monotonic()
    if action():
        _report(name, time.monotonic() - begin, "installed")


def _report(name: str, took: float, remark: str) -> None:
    if remark:  # what was so already is not worth a line
        print(f"devcloud: {name:<20} {took:6.1f} s  {remark}", flush=True)
