"""What the documentation names is there: files, links, make targets, options, commands, classes."""

from __future__ import annotations

import ast
import configparser
import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

from karbor import config
from karbor.cli.program import karbor

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in [
    *(ROOT / page for page in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(ROOT / "docs").rglob("*.md"), *(ROOT / "dev").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
TREES = ("karbor/", "tests/", "testing/", "docs/", "dev/", "etc/", "karbor_testing/")
PACKAGES = tuple(f"{path.name}/" for path in (ROOT / "karbor").iterdir() if path.is_dir())
"""A path may also be given from the package on: `operations/protect.py`."""
OF_OTHER_PROJECTS = {"docs/operators/token-lifetimes.md"}
"""Pages that name files in the sources of OpenStack, some of which begin like Karbor's packages."""
OWN = {(group, option.name.replace("-", "_")) for group, options in config.own_options().items()
       for option in options}
SECTIONS = {group for group, _ in OWN} - {"DEFAULT", "service_user", "trustee", "database",
                                          *config.SERVICES}
"""Karbor's own alone: the others are those of libraries and services too."""
LIBRARIES = {"DEFAULT", "service_user", "trustee"}
"""Sections in which options of oslo.log and keystoneauth stand beside Karbor's."""
OTHER_PROGRAMS = {"docs/api/compatibility.md", "docs/bank-format.md"}
"""Pages on which `karbor …` is a command of Karbor 1.x's client, or a word of the bank's format."""


def exists(path: str) -> bool:
    """Whether it is there, from the top, from the package or from the test kit on; a module may be
    named without its ending."""
    return any((base / path).exists() or bool(list(base.glob(path.rstrip("/") + ".*")))
               for base in (ROOT, ROOT / "karbor", ROOT / "testing"))


@pytest.mark.parametrize("name", NAMES)
def test_files_that_a_page_names_exist(name: str) -> None:
    trees = TREES if name in OF_OTHER_PROJECTS else TREES + PACKAGES
    named = {path for path in re.findall(r"`([\w./-]+)`", (ROOT / name).read_text())
             if path.startswith(trees) and not path.startswith("etc/karbor/karbor.conf")}
    assert [path for path in sorted(named) if not exists(path)] == []


def anchors(page: Path) -> set[str]:
    """Those of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower())
            .replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    page = ROOT / name
    lost = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", page.read_text()):
        if "://" in target:
            continue
        other = page.parent / target if target else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            lost.append(f"{target}#{anchor}")
    assert lost == []


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_that_a_page_names_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:[`#$]|^) *make ([a-z][a-z-]+)", (ROOT / name).read_text(),
                           re.MULTILINE))
    assert named - targets == set()


@pytest.mark.parametrize("name", NAMES)
def test_options_of_karbor_that_a_page_names_exist(name: str) -> None:
    named = set(re.findall(r"`\[(\w+)\] (\w+)", (ROOT / name).read_text()))
    assert {f"[{group}] {option}" for group, option in named if group in SECTIONS
            and not option.endswith("_") and (group, option) not in OWN} == set()


def blocks(name: str, language: str) -> list[str]:
    """The examples in this language on a page."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", (ROOT / name).read_text(),
                      re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_karbor_conf_have_options_that_exist(name: str) -> None:
    faults = []
    for example in blocks(name, "ini"):
        parser = configparser.RawConfigParser(strict=False, default_section="",
                                              comment_prefixes=("#",))
        parser.read_string(example if example.startswith(("[", "#")) else f"[other]\n{example}")
        for section in parser.sections():
            for option, value in parser[section].items():
                known = (section, option) in OWN or section not in {group for group, _ in OWN}
                if not known and section not in LIBRARIES:
                    faults.append(f"[{section}] {option}")
                if re.search(r"\s#", value):     # oslo.config takes it for part of the value
                    faults.append(f"[{section}] {option}: a comment behind the value")
    assert faults == []


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_python_import_what_is_there(name: str) -> None:
    lost = []
    for example in blocks(name, "python"):
        for node in ast.walk(ast.parse(example.replace("…", "..."))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("karbor"):
                module = importlib.import_module(str(node.module))
                lost += [f"{node.module}.{alias.name}" for alias in node.names
                         if not hasattr(module, alias.name)
                         and not exists(f"{module.__name__.replace('.', '/')}/{alias.name}")]
    assert lost == []


def defined() -> set[str]:
    """Every class, function, method, field and name of a module in the package."""
    names: set[str] = set()
    for path in (ROOT / "karbor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names.add(node.name)
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_the_glossary_names_classes_and_methods_that_exist() -> None:
    rows = re.findall(r"^\|.*\|([^|]*)\|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    named = {name for row in rows for word in re.findall(r"`([\w.]+)`", row)
             if not word.endswith(".py") for name in word.split(".")}
    assert named - defined() - {"journal"} == set()


def commands(text: str) -> list[str]:
    """Those of examples, and those within a sentence."""
    text = text.replace("\\\n", " ")
    examples = re.findall(r"^[$#] (karbor [a-z].*?)(?: +#.*)?$", text, re.MULTILINE)
    return examples + re.findall(r"`(karbor [a-z][^`\n]*)`", text)


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
        options = {option for parameter in command.params
                   for option in parameter.opts + parameter.secondary_opts}
        faults += [f"{line}: {word}" for word in words
                   if word.startswith("--") and word.partition("=")[0] not in options]
    assert faults == []


DECISIONS = {int(path.name[:4]): path for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}


def head(number: int) -> str:
    """What stands in a decision before its context."""
    return re.split(r"^(?:## |\*\*Context)", DECISIONS[number].read_text(), flags=re.MULTILINE)[0]


def test_the_list_of_decisions_is_complete() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    listed = re.findall(r"^- \[(\d+)\. .*\]\((.*)\)$", index, re.MULTILINE)
    assert {(int(number), name) for number, name in listed} == {
        (number, path.name) for number, path in DECISIONS.items()}


@pytest.mark.parametrize("number", sorted(DECISIONS))
def test_a_decision_that_was_changed_says_by_which(number: int) -> None:
    changing = re.findall(r"(?:Changes|Replaces)\b([^.]*(?:\.md[^.]*)+)\.", head(number))
    changed = {int(other) for text in changing for other in re.findall(r"\[(\d+)\]\(", text)}
    assert [other for other in sorted(changed) if f"[{number}](" not in head(other)] == []
