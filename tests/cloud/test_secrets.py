"""No password and no token is found in anything that Karbor writes: on the real cloud, with
everything logged, by users whose passwords occur nowhere else."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tests.cloud.karbor_command import Answer, Karbor
from tests.cloud.small_application import until

PREFIX = "test-secrets-"
FERNET = re.compile(rb"gAAAAA[A-Za-z0-9_-]{50,}={0,2}")
"""What Keystone's tokens and what Karbor seals look like: both are Fernet, of other keys."""


@dataclass(frozen=True)
class Account:
    name: str
    password: str


@contextlib.contextmanager
def account(admin: Any, project: str, role: str) -> Iterator[Account]:
    identity = admin.identity
    made = Account(f"{PREFIX}{secrets.token_hex(4)}", f"pw-{secrets.token_hex(12)}")
    home = identity.find_project(project)
    user = identity.create_user(name=made.name, password=made.password, domain_id="default",
                                default_project_id=home.id)
    try:
        identity.assign_project_role_to_user(home, user, identity.find_role(role))
        yield made
    finally:
        identity.delete_user(user)


@pytest.fixture
def admin(cloud: Any) -> Iterator[Any]:
    with cloud.connection("admin") as connection:
        yield connection


@pytest.fixture
def person(admin: Any) -> Iterator[Account]:
    with account(admin, "demo", "member") as made:
        yield made


@pytest.fixture
def service(admin: Any) -> Iterator[Account]:
    with account(admin, "service", "service") as made:
        yield made


@pytest.fixture
def karbor(cloud: Any, tmp_path: Path, person: Account, service: Account) -> Karbor:
    """Of a person of the project demo, with a service account of its own; what holds their
    passwords lies beside the home directory, not in it."""
    entry = yaml.safe_load(cloud.clouds_yaml.read_text())["clouds"]["demo"]
    auth = {**entry["auth"], "username": person.name, "password": person.password}
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(yaml.safe_dump({"clouds": {"demo": {**entry, "auth": auth}}}))
    vouching = {**auth, "username": service.name, "password": service.password,
                "project_name": "service"}
    conf = tmp_path / "karbor.conf"
    conf.write_text("\n".join(["[service_user]", "auth_type = password",
                               *(f"{name} = {value}" for name, value in vouching.items())]))
    home = tmp_path / "home"
    home.mkdir()
    return Karbor(home, clouds, extra={"KARBOR_CONFIG": str(conf)})


@pytest.fixture
def volume(cloud: Any) -> Iterator[str]:
    with cloud.connection("demo") as demo:
        made = demo.block_storage.create_volume(name=f"{PREFIX}volume", size=1)
        until("volume available",
              lambda: demo.block_storage.get_volume(made).status == "available")
        yield made.id
        demo.block_storage.delete_volume(made, cascade=True)


def sealed_token(karbor: Karbor, operation: str) -> tuple[MultiFernet, str]:
    """The keys, and the token that the operation keeps: the user's own, as Keystone gave it."""
    keys = MultiFernet([Fernet(key) for key in (karbor.state / "seal.key").read_bytes().split()])
    with contextlib.closing(sqlite3.connect(karbor.state / "karbor.sqlite")) as database:
        [(raw,)] = database.execute("SELECT credential FROM operations WHERE id = ?", [operation])
    text = keys.decrypt(json.loads(raw)["sealed"]).decode()
    [token] = FERNET.findall(text.encode())
    return keys, token.decode()


def everything(karbor: Karbor, answers: list[Answer]) -> dict[str, bytes]:
    """All that was written and said, by where; the bank and both databases are among the files."""
    said = {f"{stream} of command {number}": getattr(answer, stream).encode()
            for number, answer in enumerate(answers) for stream in ("out", "err")}
    files = {str(one.relative_to(karbor.home)): one.read_bytes()
             for one in karbor.home.rglob("*") if one.is_file()}
    return said | files | {f"{name}, as SQL": dumped(karbor.home / name) for name in files
                           if name.endswith(".sqlite")}


def dumped(database: Path) -> bytes:
    """What the database says: in its file a long value may be cut by the end of a page."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump()).encode()


def test_no_secret_is_written_or_said(karbor: Karbor, person: Account, service: Account,
                                      volume: str) -> None:
    protect = karbor("--debug", "protect", volume, "--name", "secret", "-f", "json")
    operation = protect.json["id"]
    answers = [protect, karbor("--debug", "operation", "show", operation, "-f", "json"),
               karbor("--debug", "checkpoint", "show", "secret", "-f", "json"),
               karbor("--debug", "verify", "secret")]
    keys, token = sealed_token(karbor, operation)
    written = everything(karbor, answers)
    answers.append(karbor("--debug", "checkpoint", "delete", "secret", "--yes"))
    written |= {f"{where} (after the deletion)": what
                for where, what in everything(karbor, answers).items()}

    assert any(where.endswith("karbor.sqlite") for where in written)
    assert any(where.startswith("data/karbor/bank/") for where in written)
    assert b"POST /backups" in written["err of command 0"]      # everything was logged

    key = (karbor.state / "seal.key").read_bytes().split()[0]
    for name, secret in (("the person's password", person.password.encode()),
                         ("the service's password", service.password.encode()),
                         ("the person's token", token.encode()), ("the sealing key", key)):
        found = [where for where, what in written.items()
                 if secret in what and "seal.key" not in where]
        assert not found, f"{name} is in {found}"
    no_token_in_clear(keys, written)


def test_no_secret_of_what_was_delegated_is_written_or_said(
        karbor: Karbor, tmp_path: Path, volume: str) -> None:
    """On a trust, and on an application credential that Karbor made."""
    conf = tmp_path / "karbor.conf"
    plain = conf.read_text()
    answers = [karbor("--debug", "credential", "register", "-f", "json")]
    kinds = set()
    for strategy in ("trust", "application_credential"):
        conf.write_text(f"{plain}\n[credentials]\nstrategy = {strategy}\n")
        answers.append(karbor("--debug", "protect", volume, "--name", strategy, "-f", "json"))
        operation = answers[-1].json
        kinds.add(operation["credential"]["rung"])
        answers.append(karbor("--debug", "operation", "show", operation["id"], "-f", "json"))
        answers.append(karbor("--debug", "checkpoint", "delete", strategy, "--yes"))
    assert kinds == {"trust + service token", "application credential + service token"}
    keys, _ = sealed_token(karbor, operation["id"])
    with contextlib.closing(sqlite3.connect(karbor.state / "karbor.sqlite")) as database:
        [(sealed,)] = database.execute("SELECT sealed FROM registrations")
    secret = keys.decrypt(sealed)
    assert len(secret) > 40
    answers.append(karbor("--debug", "credential", "list", "-f", "json"))
    written = everything(karbor, answers)
    assert [where for where, what in written.items() if secret in what] == []
    no_token_in_clear(keys, written)

    before = (karbor.state / "seal.key").read_bytes().split()
    answers.append(karbor("--debug", "credential", "rotate-keys"))
    after = (karbor.state / "seal.key").read_bytes().split()
    newest = Fernet(after[0])
    with contextlib.closing(sqlite3.connect(karbor.state / "karbor.sqlite")) as database:
        [(again,)] = database.execute("SELECT sealed FROM registrations")
    assert newest.decrypt(again) == secret
    assert after[1:] == before
    answers.append(karbor("--debug", "credential", "remove", "--yes"))
    no_token_in_clear(MultiFernet([Fernet(key) for key in after]), everything(karbor, answers))


def no_token_in_clear(keys: MultiFernet, written: Mapping[str, bytes]) -> None:
    for where, what in written.items():
        if ".sqlite" in where and "as SQL" not in where:
            continue
        for one in FERNET.findall(what):
            try:
                keys.decrypt(one)
            except InvalidToken:
                pytest.fail(f"a token that nobody sealed is in {where}")
