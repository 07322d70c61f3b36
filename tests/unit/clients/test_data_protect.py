"""Lists of Karbor's own API."""

from __future__ import annotations

from typing import Any

from karbor.clients.data_protect import DataProtect


class Shortened(DataProtect):
    """An API whose operator lets it give seven items at once."""

    def __init__(self, plans: int) -> None:
        self.plans = [{"id": f"{number:03d}", "name": "p"} for number in range(plans)]

    def get(self, path: str, **query: str) -> Any:
        following = [one for one in self.plans if str(one["id"]) > query.get("marker", "")]
        return {"plans": following[:min(int(query["limit"]), 7)]}


def test_a_page_shorter_than_asked_for_is_not_the_last() -> None:
    for plans in (0, 6, 7, 30):
        api = Shortened(plans)
        assert api.list("/plans", "plans") == api.plans
