"""Databases as they are right after their set-up, kept for the next fresh state.

Running all migrations takes most of a first start.  Their result is the same every time, so each
service's databases are dumped once they are set up, and loaded from there afterwards.  A dump is
found by a hash of everything that it depends on: the pinned versions and the files that make it.
"""

from __future__ import annotations

import hashlib
import os
import pathlib

from dev.devcloud import install
from dev.devcloud.cloud import Cloud
from dev.devcloud.service import Service
from dev.devcloud.settings import REPOSITORY

_HOST = b"@DEVCLOUD-HOST@"  # catalog and cell mappings hold the address: another cloud, another one


def set_up(cloud: Cloud, service: Service) -> str:
    """Fill the empty databases of a service; says how."""
    dump = _path(cloud, service)
    host = cloud.host.encode()
    for name in service.databases:
        cloud.sql(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb3")
    if dump.exists():
        cloud.mariadb("mariadb", stdin=dump.read_bytes().replace(_HOST, host))
        return "template"
    service.create_schema()
    options = ("--skip-comments", "--skip-add-locks", "--single-transaction", "--databases")
    content = cloud.mariadb("mariadb-dump", *options, *service.databases)
    dump.parent.mkdir(parents=True, exist_ok=True)
    temporary = dump.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(content.replace(host, _HOST))
    temporary.replace(dump)
    return "migrations"


def _path(cloud: Cloud, service: Service) -> pathlib.Path:
    digest = hashlib.sha256()
    digest.update((REPOSITORY / "dev" / "devcloud" / "constraints.txt").read_bytes())
    for file in (pathlib.Path(__file__), *service.setup_files):
        digest.update(file.read_bytes())
    if service.name == "keystone":
        digest.update(cloud.account_document.encode().replace(cloud.host.encode(), _HOST))
    return install.cache() / "databases" / f"{service.name}-{digest.hexdigest()[:16]}.sql"
