"""What cannot be taken back is done when somebody has agreed to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import click
import pytest

from karbor.cli import confirmation, exit_codes
from karbor.cli.program import karbor
from karbor.domain.operation import OperationState, Verb
from tests.unit.cli.fakes import FakeLocal, planned, run

WORDS: Mapping[str, tuple[str, ...]] = {
    "checkpoint delete": ("web-1", "web-2"), "plan delete": ("shop",),
    "schedule delete": ("nightly", "--with-trigger"), "credential remove": ()}


class Service:
    """Plans and schedules, and an application credential."""

    def __init__(self, asked: list[tuple[Any, ...]]) -> None:
        self.asked = asked

    def find(self, path: str, _many: str, _word: str, name: str) -> dict[str, Any]:
        return {"id": f"id-{name}", "name": name, "trigger_id": "t"}

    def list(self, *_path: str, **_query: str) -> list[dict[str, Any]]:
        return []

    def delete(self, path: str) -> None:
        self.asked.append(("delete", path))

    def remove(self, project_id: str, user_id: str) -> list[Any]:
        self.asked.append(("remove", project_id, user_id))
        return []


class Deleting(FakeLocal):
    def __init__(self) -> None:
        super().__init__([(planned(verb=Verb.DELETE, state=OperationState.DONE, finished_at=2.0),
                           [])])
        self.data_protect = self.application_credentials = Service(self.asked)
        self.cloud = SimpleNamespace(project_id="p1", user_id="u1")


def deleting_commands(group: click.Group, path: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from deleting_commands(command, f"{path}{name} ")
        elif name in ("delete", "remove"):
            yield f"{path}{name}"


def test_every_command_that_deletes_is_among_these() -> None:
    assert set(deleting_commands(karbor)) == set(WORDS)


@pytest.mark.parametrize("command", WORDS)
def test_without_a_terminal_it_is_refused_unless_yes(command: str) -> None:
    local = Deleting()
    refused = run(local, *command.split(), *WORDS[command])
    assert refused.exit_code == exit_codes.USAGE
    assert refused.stderr == (
        f"karbor: karbor {command} cannot be taken back, and there is no terminal to ask on: "
        "nothing was done (give --yes)\n")
    assert local.asked == []
    assert run(local, *command.split(), *WORDS[command], "--yes").exit_code == exit_codes.DONE
    assert local.asked


@pytest.mark.parametrize(("answer", "done"), [("y\n", True), ("n\n", False), ("\n", False)])
@pytest.mark.parametrize("command", WORDS)
def test_on_a_terminal_it_asks(command: str, answer: str, done: bool,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "sys",
                        SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    local = Deleting()
    result = run(local, *command.split(), *WORDS[command], stdin=answer)
    assert result.exit_code == exit_codes.DONE
    assert "?" in result.stderr
    changed = [one for one in local.asked if one[0] in ("start", "remove")
               or str(one[1]).startswith("/")]
    assert bool(changed) is done
    assert ("nothing was done" in result.stderr) is not done
