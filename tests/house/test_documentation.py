"""What the documentation names is there: files, make targets, options, commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from karbor import config
from karbor.cli.group import karbor

ROOT = Path(__file__).parents[2]
PAGES = sorted(one for one in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [str(one.relative_to(ROOT)) for one in PAGES]
TREES = ("karbor/", "tests/", "testing/", "docs/", "dev/", "etc/")
OWN = {(group, one.name.replace("-", "_")) for group, some in config.own_options().items()
       for one in some}
SECTIONS = {group for group, _ in OWN} - {"DEFAULT", "service_user", "trustee", "database",
                                          *config.SERVICES}
"""Karbor's own alone: the others are those of libraries and services too."""
OTHER_PROGRAMS = {"docs/api/compatibility.md", "docs/bank-format.md"}
"""Pages on which `karbor …` is a command of Karbor 1.x's client, or a word of the bank's format."""


@pytest.mark.parametrize("name", NAMES)
def test_files_that_a_page_names_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    named = {one for one in re.findall(r"`([\w./-]+)`", text)
             if one.startswith(TREES) and not one.startswith("etc/karbor/karbor.conf")}
    assert [one for one in sorted(named) if not (ROOT / one).exists()
            and not list(ROOT.glob(one + ".*"))] == []


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_that_a_page_names_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"[`#] ?make ([a-z][a-z-]+)", (ROOT / name).read_text()))
    assert named - targets == set()


@pytest.mark.parametrize("name", NAMES)
def test_options_of_karbor_that_a_page_names_exist(name: str) -> None:
    named = set(re.findall(r"`\[(\w+)\] (\w+)", (ROOT / name).read_text()))
    assert {f"[{group}] {option}" for group, option in named if group in SECTIONS
            and not option.endswith("_") and (group, option) not in OWN} == set()


def commands(text: str) -> list[str]:
    """Those of examples, and those within a sentence."""
    text = text.replace("\\\n", " ")
    found = re.findall(r"^[$#] (karbor [a-z].*?)(?: +#.*)?$", text, re.MULTILINE)
    return found + re.findall(r"`(karbor [a-z][^`\n]*)`", text)


@pytest.mark.parametrize("name", sorted(set(NAMES) - OTHER_PROGRAMS))
def test_commands_that_a_page_names_exist_with_their_options(name: str) -> None:
    faults = []
    for line in commands((ROOT / name).read_text()):
        words = shlex.split(line.split(" | ")[0].split(" > ")[0].replace("…", ""))[1:]
        command: click.Command = karbor
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            word = words.pop(0)
            if word not in command.commands:
                faults.append(f"{line}: {word}")
                break
            command = command.commands[word]
        options = {option for one in command.params for option in one.opts + one.secondary_opts}
        faults += [f"{line}: {word}" for word in words
                   if word.startswith("--") and word.partition("=")[0] not in options]
    assert faults == []
