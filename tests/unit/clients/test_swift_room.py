"""How much a container still takes: what its quota and that of its account leave."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from karbor.clients.swift_container import SwiftContainer
from karbor.domain.errors import CloudForbidden


class Swift:
    """Answers HEADs of the container and of the account; None: that may not be looked at."""

    def __init__(self, container: Mapping[str, str], account: Mapping[str, str] | None) -> None:
        self._answers = {"/box": container, "": account}

    def send(self, method: str, path: str) -> Any:
        headers = self._answers[path]
        if headers is None:
            raise CloudForbidden("not yours")
        return SimpleNamespace(headers=headers)

    def patiently(self, once: Any) -> Any:
        return once()


def told(kind: str, quota: int | None, used: int) -> dict[str, str]:
    limit = {} if quota is None else {f"X-{kind}-Meta-Quota-Bytes": str(quota)}
    return {f"X-{kind}-Bytes-Used": str(used), **limit}


@pytest.mark.parametrize(("container", "account", "left"), [
    (told("Container", None, 5), told("Account", None, 5), None),
    (told("Container", 100, 5), told("Account", None, 5), 95),
    (told("Container", None, 5), told("Account", 70, 50), 20),
    (told("Container", 100, 5), told("Account", 70, 50), 20),
    (told("Container", 10, 50), None, 0),
    (told("Container", None, 5), None, None)])
def test_the_tighter_quota_counts(container: dict[str, str], account: dict[str, str] | None,
                                  left: int | None) -> None:
    swift: Any = Swift(container, account)
    assert SwiftContainer(lambda: swift, "box").room() == left
