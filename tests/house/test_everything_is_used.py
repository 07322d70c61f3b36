"""Nothing lies about: each option is read by some code, each module imported by another."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from karbor import config

ROOT = Path(__file__).resolve().parents[2]
MODULES = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path
           for path in sorted((ROOT / "karbor").rglob("*.py"))}
BY_OTHERS = ("karbor_testing.", "karbor.store.migrations.")
"""Doubles are imported by tests, migrations by alembic."""
TEXTS = {module: path.read_text() for module, path in MODULES.items()}
DEFINITIONS = {f"karbor.config.{subject}" for subject in ("cloud", "monitoring", "process", "work")}
"""There options are defined; what reads them is elsewhere."""
LIBRARIES = {"service_user", "trustee"}
"""Sections whose options are keystoneauth's."""
OWN = [(group, one.dest) for group, options in config.own_options().items()
       if group not in LIBRARIES for one in options]


def readers(group: str, name: str) -> Iterator[str]:
    """The modules that mention both the section and the option, as an attribute or an item."""
    within = re.compile(rf'[.]{group}\b|\[["\']{group}["\']\]|f?"{group}"')
    wanted = [name]
    if group == "limits" and name.partition("_")[2] in config.LIMITED:
        wanted.append(name.partition("_")[0] + "_{")        # named by the kind of work
    read = re.compile("|".join(
        rf'[.]{re.escape(one)}\b|["\']{re.escape(one)}["\'\w{{}}]*["\']?\]' for one in wanted))
    for module, text in TEXTS.items():
        if module in DEFINITIONS:
            continue
        if group == "waits" and name in config.WAITS:       # all of them at once, by their kinds
            if "conf.waits[kind] for kind in config.WAITS" in text:
                yield module
        elif group in config.SERVICES:      # the section is named by the service
            if re.search(r"(conf|settings|section|options)\w*\[", text) and read.search(text):
                yield module
        elif (group == "DEFAULT" or within.search(text)) and read.search(text):
            yield module


@pytest.mark.parametrize(("group", "name"), OWN, ids=lambda one: one)
def test_an_option_is_read_by_some_code(group: str, name: str) -> None:
    assert list(readers(group, name)), f"[{group}] {name}: no module reads it"


def imported(path: Path, module: str) -> Iterator[str]:
    """The names of modules that this one imports, wherever in it."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                origin = f"{package}.{origin}".rstrip(".")
            yield origin
            yield from (f"{origin}.{one.name}" for one in node.names)


def entry_points() -> set[str]:
    """The modules that something outside begins with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = [*project["scripts"].values(),
            *(one for group in project["entry-points"].values() for one in group.values())]
    return {one.partition(":")[0] for one in told}


def test_a_module_is_imported_by_another() -> None:
    used = {name for module, path in MODULES.items() for name in imported(path, module)
            if name != module}
    # Lazily loaded commands are named by their module.
    texts = "".join(TEXTS.values())
    lost = [module for module, path in MODULES.items()
            if path.name != "__init__.py" and not path.name.startswith("__main__")
            and module not in used and module not in entry_points()
            and not module.startswith(BY_OTHERS)
            and f'"{module}' not in texts and f"'{module}" not in texts]
    assert lost == [], "nothing imports these modules"
