"""The processes of Karbor, as operators see and stop them."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from karbor.domain.service import WORKER, ServiceStatus
from karbor.store.services import Services
from tests.unit.api.conftest import Api
from tests.unit.api.people import ADMIN, Person


@pytest.fixture
def services(engine: sa.Engine) -> Services:
    """Of two workers one has not been heard of for long; the API's clock begins at 1,000,000 s."""
    made = Services(engine)
    made.beat(WORKER, "one", 999_990.0)
    made.beat(WORKER, "two", 999_000.0)
    made.beat("karbor-other", "one", 999_990.0)
    return made


def listed(api: Api, query: str = "") -> list[tuple[Any, ...]]:
    found = api.of(ADMIN)("GET", "/os-services", query_string=query).json["services"]
    return [(one["id"], one["binary"], one["host"], one["status"], one["state"],
             one["disabled_reason"]) for one in found]


def test_they_are_listed_with_how_they_stand(api: Api, services: Services) -> None:
    assert listed(api) == [(1, WORKER, "one", "enabled", "up", None),
                           (2, WORKER, "two", "enabled", "down", None),
                           (3, "karbor-other", "one", "enabled", "up", None)]
    assert [one[0] for one in listed(api, "host=one")] == [1, 3]
    assert [one[0] for one in listed(api, f"host=one&binary={WORKER}")] == [1]
    assert api.of(Person("reader", "", "system"))(
        "GET", "/os-services", project="any").json["services"]
    api("GET", "/os-services", status=403)


def test_one_is_disabled_with_a_reason_and_enabled_again(api: Api, services: Services) -> None:
    admin = api.of(ADMIN)
    changed = admin("PUT", "/os-services/1", {"status": "disabled", "disabled_reason": "disk"})
    assert (changed.json["service"]["status"], changed.json["service"]["disabled_reason"]) == (
        "disabled", "disk")
    assert services.beat(WORKER, "one", 1.0).status is ServiceStatus.DISABLED
    assert admin("PUT", "/os-services/1", {"status": "enabled"}).json["service"][
        "disabled_reason"] is None
    assert listed(api)[0][3] == "enabled"


@pytest.mark.parametrize(("id", "body", "status"), [
    ("1", {"status": "enabled", "disabled_reason": "x"}, 400), ("1", {"status": "gone"}, 400),
    ("1", {"service": {"status": "enabled"}}, 400), ("3", {"status": "disabled"}, 400),
    ("9", {"status": "enabled"}, 404), ("x", {"status": "enabled"}, 404),
    ("9" * 30, {"status": "enabled"}, 404)])
def test_what_cannot_be_done(api: Api, services: Services, id: str, body: dict[str, Any],
                             status: int) -> None:
    before = listed(api)
    api.of(ADMIN)("PUT", f"/os-services/{id}", body, status=status)
    assert listed(api) == before
