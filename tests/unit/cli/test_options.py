"""No option that a command accepts is without effect."""

from __future__ import annotations

import inspect
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from karbor.cli import exit_codes
from karbor.cli.invocation import OPTIONS
from karbor.cli.program import karbor
from karbor.doctor.context import DoctorOptions
from karbor.domain.application_credential import ApplicationCredential
from karbor.domain.errors import NotFound
from karbor.domain.operation import OperationState
from karbor.plugin.vault_location import VaultKeySource
from tests.unit.cli.fakes import DATA, FakeLocal, planned, run, steps

WORDS = {"cloud": ("--os-cloud", "x"), "provider": ("--provider", "x"),
         "format": ("--format", "json")}
GLOBAL = {"--os-cloud", "--provider", "--config-file", "--format", "--verbose", "--debug"}

OF_PROVIDER = {"provider", "checkpoints", "checkpoint", "draft_protect", "draft_restore",
               "draft_verify", "draft_copy", "draft_delete", "disk"}
"""What of a Local depends on the provider that was named."""
OF_NO_LOGIN = {"providers", "application_credentials"}
"""What of a Local does not depend on the entry of clouds.yaml."""


def leaves(group: click.Group = karbor, path: tuple[str, ...] = ()
           ) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(leaves())
NAMES = [" ".join(path) for path in COMMANDS]


def command_of(name: str) -> Any:
    return COMMANDS[tuple(name.split())]


def idle(name: str) -> tuple[str, ...]:
    return tuple(command_of(name).callback.idle_options)


def source(name: str) -> str:
    """Of the command's own function."""
    return inspect.getsource(inspect.unwrap(command_of(name).callback))


def used(name: str) -> set[str]:
    """The global options that reach something."""
    text = source(name)
    attributes = set(re.findall(r"\blocal\.(\w+)", text))
    found = {"config_files", "verbose", "debug"}      # every command reads them, or may fail
    if attributes & OF_PROVIDER or re.search(
            r"_one\(|_keeper\(|_vaults\(|invocation\.provider", text):
        found.add("provider")
    if attributes - OF_NO_LOGIN or re.search(r"invocation\.cloud|_change\(", text):
        found.add("cloud")
    if re.search(r"\.json\b|_tell\(|_change\(|_show\(|run_to_exit\(|run\(invocation", text):
        found.add("format")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_global_option_reaches_something_or_is_refused(name: str) -> None:
    assert set(OPTIONS) - set(idle(name)) == used(name)


@pytest.mark.parametrize(("name", "option"), [
    (name, option) for name in NAMES for option in idle(name)])
def test_a_global_option_without_effect_is_refused_wherever_it_stands(name: str, option: str
                                                                      ) -> None:
    local = FakeLocal()
    needed = ["x" for one in command_of(name).params
              if isinstance(one, click.Argument) and one.required]
    # Those that must be given come first: click tells what is missing before anything else.
    needed += [word for one in command_of(name).params if isinstance(one, click.Option)
               and one.required for word in (one.opts[-1], "x")]
    needed += ["--yes" for one in command_of(name).params if one.name == "yes"]
    before = run(local, *WORDS[option], *name.split(), *needed)
    after = run(local, *name.split(), *needed, *WORDS[option])
    assert (before.exit_code, after.exit_code) == (exit_codes.USAGE, exit_codes.USAGE)
    assert f"{WORDS[option][0]} has no effect on karbor {name}" in before.stderr
    assert re.search(rf"No such option:? '?{WORDS[option][0]}", after.stderr)
    assert local.asked == []


# ---------------------------------------------------------------- a command's own options
class Service:
    """Karbor's API and what is registered; remembers what it was asked."""

    def __init__(self, asked: list[tuple[Any, ...]]) -> None:
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        def hear(*what: Any, **more: Any) -> Any:
            self._asked.append((name, what, sorted(more.items())))
            return ANSWERS.get(name, {})

        return hear


RIGHTS = {"user_name": "u", "user_id": "u", "kind": "trust", "until": None, "ends_soon": False}
THING = {"id": "id-1", "name": "it", "trigger_id": "t", "provider_id": "p1", "plan_id": "plan",
         "operation_definition": {}, "operation_type": "protect", "enabled": False,
         "next_run_at": None, "rights": RIGHTS, "resources": [], "parameters": {},
         "properties": {"pattern": ""}}
MADE = SimpleNamespace(left=[], registration=ApplicationCredential(
    "r", "http://k", "p", "u", "ac", "it", "", made_here=True, expires_at=None, created_at=1.0))
ANSWERS: dict[str, Any] = {
    "find": THING, "list": [], "make": MADE, "take": MADE, "own": MADE,
    "get": {"providers": [{"id": "p1", "name": "one"}, {"id": "p2", "name": "two"}],
            "trigger_info": THING, "occurrences": [{
                "due_at": f"2026-11-{day}T00:00", "state": "done", "manual": False, "count": 1,
                "operation_log_id": "", "reason": "", "retention": ""} for day in (10, 11, 12)]},
    "post": {"plan": THING, "trigger_info": THING, "scheduled_operation": THING}}


class Recording(FakeLocal):
    def __init__(self) -> None:
        super().__init__([(planned(state=OperationState.DONE, finished_at=2000.0), steps())])
        self.data_protect = self.application_credentials = Service(self.asked)
        self.cloud = SimpleNamespace(project_id="p", user_id="u", caller=SimpleNamespace(
            application_credential_id="", user_name="u"))
        self.providers = SimpleNamespace(
            list=lambda: [listed("on", True), listed("off", False)], broken=[],
            default=lambda: listed("on", True), choose=lambda _name: SimpleNamespace(
                bank=None, vault=lambda project_id: project_id))

    def disk(self, *which: str, **part: Any) -> Any:
        self._hear("disk", *which, sorted(part.items()))
        return SimpleNamespace(resource=DATA, size=3, offset=0, blocks=iter([b"abc"]))

    def select(self, words: Any) -> list[Any]:
        return [DATA]

    def operations(self, *, limit: int | None = None) -> Any:
        self._hear("operations", limit)
        return super().operations(limit=limit)

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not name.startswith("draft_"):
            return found

        def expecting(*what: Any, **more: Any) -> Any:
            self.asked.append((name, str(what), str(sorted(more.items()))))
            return found(*what, **more)

        return expecting


def listed(name: str, enabled: bool) -> Any:
    return SimpleNamespace(id=name, name=name, description="", bank="bank", plugins=(),
                           enabled=enabled, file="")


CREATE = ("shop", "web-1", "--in", "one")
EVERY_NIGHT = ("nightly", "--plan", "shop", "--cron", "0 2 * * *")
TRIALS: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {
    # command → the words without the option → the options and their values, one by one
    "protect": {("web-1",): ("--name x", "--dry-run", "--incremental", "--full",
                             "--param volume:a=b", "--hours 3")},
    "restore": {("web-1",): ("--dry-run", "--map a=b", "--new-networks", "--keep",
                             "--name data=x", "--param volume:a=b", "--hours 3")},
    "verify": {("web-1",): ("--hours 3",)},
    "checkpoint list": {(): ("--all",)},
    "checkpoint copy": {("web-1", "--to", "there"): ("--to elsewhere", "--dry-run", "--hours 3")},
    "checkpoint export": {("web-1", "data"): ("--output x", "--offset 3", "--length 3")},
    "checkpoint delete": {("web-1",): ("--yes",)},
    "operation list": {(): ("--limit 7",)},
    "operation show": {("0d3c",): ("--no-steps",), ("0d3c", "-f", "json"): ("--no-steps",)},
    "provider list": {(): ("--all",)},
    "credential register": {(): ("--id ac", "--days 3", "--role member")},
    "credential remove": {(): ("--yes",)},
    "plan create": {CREATE: ("--tag server:gold", "--metadata server:a=b", "--in two",
                             "--param volume:a=b", "--description x"),
                    ("shop", "web-1"): ("--in one", "--provider two")},
    "plan delete": {("shop",): ("--yes",)},
    "schedule show": {("nightly",): ("--last 1",)},
    "schedule create": {
        EVERY_NIGHT: ("--plan other", "--cron '1 2 * * *'", "--time-zone Europe/Berlin",
                      "--window 60", "--max-backups 3", "--retention-duration 3",
                      "--keep-daily 3", "--keep-weekly 3", "--keep-monthly 3", "--keep-yearly 3"),
        ("nightly", "--plan", "shop"): ("--rrule FREQ=DAILY", "--trigger t")},
    "schedule delete": {("nightly", "--yes"): ("--with-trigger",), ("nightly",): ("--yes",)},
    # These open no Local: what they hand on is recorded in place of what they do.
    "doctor": {(): ("--hours 3", "--active", "--deep", "--patience 3", "--services-cache 3")},
    "config check": {(): ("--online",)},
    "config show": {(): ("--all",)},
    "database upgrade": {(): ("--dry-run",)},
    "vault gc": {(): ("--dry-run", "--project p")},
    "vault stats": {(): ("--project p",)},
    "vault verify": {(): ("--sample 5%", "--project p")},
    "vault key rotate": {("new.key", "--project", "p"): ("--passphrase",),
                         ("new.key",): ("--project p",)},
    "vault key prune": {("--project", "p"): ("--yes",), ("--yes",): ("--project p",)},
    "vault key shred": {("p",): ("--yes",)},
    "database rebuild": {(): ("--dry-run", "--from x", "--end-trusts")},
}


def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *words: str) -> tuple[Any, ...]:
    """What a command asks for and tells."""
    local = Recording()

    def stand_in(name: str) -> Any:
        def hear(*what: Any, **more: Any) -> Any:
            shown = [one for one in what if isinstance(
                one, bool | str | DoctorOptions | VaultKeySource)]
            local.asked.append((name, *map(str, shown), str(sorted(more.items()))))
            raise NotFound("recorded")
        return hear

    with monkeypatch.context() as patched:
        patched.setattr("karbor.cmd.doctor.Doctor.examine", stand_in("examine"))
        patched.setattr("karbor.config_check.check.check", stand_in("check"))
        for name in ("look", "rebuild"):
            patched.setattr(
                f"karbor.application.database_rebuild.Rebuilding.{name}", stand_in(name)
            )
        for name in ("application.vault_collection.collect_vaults",
                     "application.vault_collection.verify_vaults",
                     "application.vault_collection.vault_statistics",
                     "application.vault_collection.projects_of", "vault.key_rotation.rotate",
                     "vault.key_rotation.other_keys", "vault.key_rotation.shred"):
            patched.setattr(f"karbor.{name}", stand_in(name))
        patched.chdir(tmp_path)
        patched.setenv("KARBOR_CONFIG", os.devnull)
        patched.setenv("XDG_DATA_HOME", str(tmp_path))
        result = run(local, *words, stdin="secret\n")
    return result.exit_code, result.stdout, result.stderr, str(local.asked), sorted(
        str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*"))


@pytest.mark.parametrize(("name", "words", "option"), [
    (name, words, option) for name, trials in TRIALS.items()
    for words, options in trials.items() for option in options])
def test_an_option_of_a_command_changes_what_it_asks_or_tells(
        name: str, words: tuple[str, ...], option: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    without = seen(monkeypatch, tmp_path, *name.split(), *words)
    with_it = seen(monkeypatch, tmp_path, *name.split(), *words, *shlex.split(option))
    assert with_it[0] != exit_codes.FAULT, with_it[2]
    assert with_it != without


@pytest.mark.parametrize("words", [
    ("plan", "create", "shop", "web-1", "--provider", "nope"),
    ("--provider", "nope", "plan", "create", "shop", "web-1")])
def test_a_plan_of_a_provider_that_there_is_not_is_refused(words: tuple[str, ...]) -> None:
    local = Recording()
    result = run(local, *words)
    assert result.exit_code == exit_codes.USAGE
    assert "there is no provider nope (give --in; there are: one (p1), two (p2))" in result.stderr
    assert [one for one in local.asked if one[0] == "post"] == []


@pytest.mark.parametrize("words", [
    ("plan", "create", "shop", "web-1", "--in", "one", "--provider", "two"),
    ("provider", "show", "on", "--provider", "off"),
    ("--provider", "off", "provider", "check", "on")])
def test_two_providers_are_not_taken_for_one(words: tuple[str, ...]) -> None:
    local = Recording()
    assert run(local, *words).exit_code == exit_codes.USAGE
    assert [one for one in local.asked if one[0] == "post"] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_every_command_is_tried(name: str) -> None:
    tried = {option.split()[0] for options in TRIALS.get(name, {}).values() for option in options}
    own = [set(one.opts + one.secondary_opts) for one in command_of(name).params
           if isinstance(one, click.Option)]
    assert [sorted(one) for one in own if not one & (GLOBAL | tried)] == []
