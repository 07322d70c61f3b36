"""Each option of Karbor has an effect that a test sees; see `option_effects`."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from karbor import config
from tests.house.option_effects import SEEN_BY

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = {"service_user", "trustee"}
"""Sections whose options are keystoneauth's."""
OWN = {(group, option.dest) for group, options in config.own_options().items()
       if group not in LIBRARIES for option in options}
LISTED = {(group, name) for group, options in SEEN_BY.items() for name in options}


@cache
def collected(path: str) -> frozenset[str]:
    """The functions of a file that pytest collects."""
    return frozenset(node.name for node in ast.walk(ast.parse((ROOT / path).read_text()))
                     if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def test_each_option_has_a_test_and_each_line_an_option() -> None:
    assert not OWN - LISTED, "these options have no test that sees their effect"
    assert not LISTED - OWN, "there are no such options any more"


@pytest.mark.parametrize(("group", "name"), sorted(LISTED), ids=str)
def test_the_tests_of_an_option_are_there(group: str, name: str) -> None:
    found = SEEN_BY[group][name]
    assert found
    for test in found:
        path, _, function = test.partition("::")
        assert function in collected(path), f"[{group}] {name}: there is no test {test}"
