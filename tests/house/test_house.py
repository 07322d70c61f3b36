"""What machines can hold of the style: floors, types, sizes, names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PACKAGE = sorted((ROOT / "karbor").rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}


@pytest.mark.parametrize("command", [
    pytest.param(["lint-imports"], id="imports go downward only"),
    pytest.param(["ruff", "check", "."], id="ruff"),
    pytest.param(["mypy"], id="mypy --strict"),
])
def test_the_tools_are_content(command: list[str]) -> None:
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_a_small_room_with_a_name_of_its_own(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500
    assert path.stem not in FORBIDDEN_NAMES


def test_the_domain_knows_the_standard_library_only() -> None:
    for path in (ROOT / "karbor" / "domain").glob("*.py"):
        for line in path.read_text().splitlines():
            if found := re.match(r"(?:from|import)\s+([a-zA-Z_]+)", line):
                assert found[1] in sys.stdlib_module_names | {"karbor"}, f"{path.name}: {line}"
                if found[1] == "karbor":
                    assert "karbor.domain" in line, f"{path.name}: {line}"


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"),
                     *(ROOT / "dev").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"
