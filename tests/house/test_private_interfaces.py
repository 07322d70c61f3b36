"""What Karbor uses of other projects that they promise to nobody, and what is expected of it.

A release may change any of it without a word. Then the test that fails here is named after what
changed; the upper bounds in pyproject.toml keep such a release away from installations until then.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PERMITTED = {
    "os._exit",                             # public in spite of its name
    "Proxy._extract_name",                  # clients/factory.py
}
PUBLIC = {"_asdict", "_replace", "_fields"}     # of named tuples, whose fields have all other names
BY_NAME = {"getattr", "setattr", "hasattr", "delattr"}
BOUNDED = ("keystoneauth1", "openstacksdk", "oslo.config", "waitress")


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.AST) -> set[str]:
    """Names that a module's own classes and functions have."""
    names = {one.name for one in ast.walk(tree)
             if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for one in ast.walk(tree):
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store):
            names.add(one.attr)
        elif isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            names.add(one.id)
    return names


def foreign(tree: ast.AST, ours: set[str]) -> Iterator[str]:
    """Private names of modules that are not Karbor's, and private attributes that no class of
    Karbor sets or defines: those of `self` too, which a library's base class may have."""
    for one in ast.walk(tree):
        if isinstance(one, ast.ImportFrom) and one.module and not one.module.startswith("karbor"):
            if any(private(part) for part in one.module.split(".")):
                yield one.module
            yield from (name.name for name in one.names if private(name.name))
        elif isinstance(one, ast.Attribute) and private(one.attr) and one.attr not in ours:
            yield ast.unparse(one)
        elif isinstance(one, ast.Call) and ast.unparse(one.func) in BY_NAME and len(one.args) > 1:
            name = one.args[1]
            if isinstance(name, ast.Constant) and private(str(name.value)):
                yield ast.unparse(one)


def test_no_other_private_interface_is_used() -> None:
    trees = {path: ast.parse(path.read_text()) for path in (ROOT / "karbor").rglob("*.py")}
    ours = set().union(*(own_names(tree) for tree in trees.values()))
    ours |= PUBLIC
    used = {(name, str(path.relative_to(ROOT)))
            for path, tree in trees.items() for name in foreign(tree, ours)}
    assert {name for name, _ in used} == PERMITTED, sorted(used)


def test_openstacksdk_keeps_proxies_in_a_cache_that_can_be_emptied() -> None:
    """`clients/factory.py`: otherwise tokens and sessions outlive their operation there."""
    from openstack.proxy import Proxy

    assert callable(Proxy._extract_name.cache_clear)


def test_waitress_tells_its_threads_channels_and_trigger() -> None:
    """`cmd/http.py` ends it gracefully with these, none of which is documented."""
    from waitress import wasyncore
    from waitress.server import create_server

    sockets: dict[int, object] = {}
    server = create_server(lambda environ, start: [], host="127.0.0.1", port=0, map=sockets)
    try:
        assert sockets
        assert server.effective_port
        assert isinstance(server.active_channels, dict)
        assert server.task_dispatcher.threads
        assert callable(server.task_dispatcher.shutdown)
        assert callable(server.trigger.pull_trigger)
    finally:
        server.task_dispatcher.shutdown()
        wasyncore.close_all(sockets)
    assert not sockets


def test_keystoneauth_gives_the_body_of_a_token_as_the_state_of_a_plugin() -> None:
    """Public: `credentials/user.py token_body`. It has no property for a token's methods."""
    from keystoneauth1.access import AccessInfoV3

    from karbor.credentials.user_auth import token_body

    body = {"token": {"methods": ["password", "totp"], "user": {"id": "u"}}}
    assert token_body(AccessInfoV3(body, auth_token="t")) == body["token"]


@pytest.mark.parametrize("library", BOUNDED)
def test_a_library_whose_inside_is_used_has_an_upper_bound(library: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [wanted] = [one for one in project["dependencies"] if one.partition(">")[0] == library]
    assert ",<" in wanted
