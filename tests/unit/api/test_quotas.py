"""Quotas, as clients of Karbor 1.x ask for them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.conftest import Api, new_plan
from tests.unit.api.people import ADMIN, MINE, OTHER, READER, Person

MINE_PATH, OTHER_PATH = f"/quotas/{MINE}", f"/quotas/{OTHER}"


def test_a_project_sees_its_own(api: Api) -> None:
    mine = {"quota": {"plans": 50, "checkpoints": -1, "id": MINE}}
    api.make_plan()
    reader = api.of(READER)
    assert reader("GET", MINE_PATH).json == mine
    assert reader("GET", f"{MINE_PATH}/defaults").json == mine
    assert reader("GET", f"{MINE_PATH}/detail").json == {"quota": {
        "plans": {"limit": 50, "in_use": 1, "reserved": 0},
        "checkpoints": {"limit": -1, "in_use": 0, "reserved": 0}, "id": MINE}}
    for path in ("", "/detail", "/defaults"):
        reader("GET", OTHER_PATH + path, status=403)


def test_an_administrator_changes_it_and_takes_that_back(api: Api) -> None:
    admin = api.of(ADMIN)
    changed = admin("PUT", OTHER_PATH, {"quota": {"plans": "3", "unknown": 5}}).json
    assert changed == {"quota": {"plans": 3, "checkpoints": -1}}
    assert admin("GET", OTHER_PATH).json["quota"]["plans"] == 3
    assert admin("GET", f"{OTHER_PATH}/defaults").json["quota"]["plans"] == 50
    assert api("GET", MINE_PATH).json["quota"]["plans"] == 50
    theirs = api.of(Person("member", OTHER))
    theirs.make_plan()
    assert admin("DELETE", OTHER_PATH).content == b""
    detail = admin("GET", f"{OTHER_PATH}/detail").json["quota"]["plans"]
    assert detail == {"limit": 50, "in_use": 1, "reserved": 0}


@pytest.mark.parametrize("limits", [
    {"plans": -2}, {"plans": "-2"}, {"plans": "x"}, {"plans": None}, {"plans": True},
    {"plans": 1.5}, {"plans": 2**31}, {"plans": "9999999999"}, {"checkpoints": []}, None])
def test_limits_are_numbers(api: Api, limits: Any) -> None:
    api.of(ADMIN)("PUT", MINE_PATH, {"quota": limits}, status=400)
    api.of(ADMIN)("PUT", "/quota_classes/default", {"quota_class": limits}, status=400)


def test_the_class_default_is_for_all_who_have_no_limit_of_their_own(api: Api) -> None:
    admin = api.of(ADMIN)
    admin("PUT", OTHER_PATH, {"quota": {"plans": 9}})
    changed = admin("PUT", "/quota_classes/default", {"quota_class": {"plans": 0}}).json
    assert changed == {"quota_class": {"plans": 0, "checkpoints": -1}}
    assert admin("GET", "/quota_classes/default").json == {
        "quota_class": {"plans": 0, "checkpoints": -1, "id": "default"}}
    assert api("GET", MINE_PATH).json["quota"]["plans"] == 0
    assert api("GET", f"{MINE_PATH}/defaults").json["quota"]["plans"] == 0
    assert admin("GET", OTHER_PATH).json["quota"]["plans"] == 9
    api("POST", "/plans", {"plan": new_plan()}, status=413)
    api.of(Person("member", OTHER)).make_plan()


def test_other_classes_are_kept_and_change_nothing(api: Api) -> None:
    admin = api.of(ADMIN)
    admin("PUT", "/quota_classes/gold", {"quota_class": {"plans": 7}})
    assert admin("GET", "/quota_classes/gold").json["quota_class"]["plans"] == 7
    assert admin("GET", "/quota_classes/silver").json["quota_class"]["plans"] == 50
    assert api("GET", MINE_PATH).json["quota"]["plans"] == 50
    admin("GET", f"/quota_classes/{'x' * 256}", status=400)
    admin("GET", "/quota_classes/a%00b", status=400)


def test_readers_of_the_system_see_everybodys(api: Api) -> None:
    auditor = api.of(Person("reader", "", "system"))
    assert auditor("GET", OTHER_PATH, project=OTHER).json["quota"]["id"] == OTHER
    assert auditor("GET", "/quota_classes/default", project=OTHER).json
    auditor("PUT", OTHER_PATH, {"quota": {}}, project=OTHER, status=403)
