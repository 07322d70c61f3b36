"""The one place where a value of the query is written as in Python."""

from __future__ import annotations

import pytest

from karbor.api.literals import dictionary
from karbor.domain.errors import BadInput


@pytest.mark.parametrize(("text", "meant"), [
    ("{'name': 'a'}", {"name": "a"}),
    ('{"name": "a", "n": 5}', {"name": "a", "n": 5}),
    (" {u'name': True, 'x': None} ", {"name": True, "x": None}),
    ("{}", {}),
])
def test_what_clients_write(text: str, meant: dict[str, object]) -> None:
    assert dictionary("parameters", text) == meant


@pytest.mark.parametrize("text", [
    "", "x", "[]", "{'a'}", "{'a': []}", "{'a': {}}", "{1: 'a'}", "{**{}}", "{'a': b}",
    "{'a': 1.5}", "{'a': -1}", "{'a': b'x'}", "{'a': __import__('os')}",
    "{'a': 'b'}; 1", "{" * 3000,
    "{'a': '\x00'", "{'a': '" + "x" * 5000 + "'}", "{'a': f'{1}'}"])
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(BadInput, match="parameters is no dictionary"):
        dictionary("parameters", text)
