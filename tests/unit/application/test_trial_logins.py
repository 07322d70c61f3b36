"""What schedules run on is tried once, however much is begun on it, and nobody waits twice."""

from __future__ import annotations

from typing import Any

import pytest

from karbor.application import trial_logins
from karbor.application.trial_logins import GOOD_SECONDS, SILENT_SECONDS, TrialLogins
from karbor.domain.errors import Cause, KeystoneUnreachable, RightsPending, TokenRejected


class Service:
    """Counts how often Keystone is asked, and with which trust."""

    database = None

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.authority = self

    def try_credential(self, credential: dict[str, Any]) -> None:
        self.asked.append(credential["trust"])
        if self.error is not None:
            raise self.error


class Scheduled:
    def __init__(self, trust: str) -> None:
        self.id, self.project_id, self.credential = f"of-{trust}", "p", {"trust": trust}


class Stands:
    """What the database says by now."""

    def __init__(self, database: object) -> None: ...

    def show(self, project_id: str, id: str) -> Scheduled:
        return Scheduled(id.removeprefix("of-").removesuffix(" replaced"))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(trial_logins, "ScheduledOperations", Stands)
    return Service()


def trials(service: Service, now: list[float]) -> TrialLogins:
    return TrialLogins(service, lambda: now[0])      # type: ignore[arg-type]


def attempt(made: TrialLogins, trust: str, id: str = "") -> None:
    scheduled: Any = Scheduled(trust)
    scheduled.id = id or scheduled.id
    made.attempt(scheduled)


def test_a_good_login_counts_for_a_while(service: Service) -> None:
    now = [0.0]
    made = trials(service, now)
    for _ in range(30):             # deletions of one retention
        attempt(made, "one")
    attempt(made, "two")
    assert service.asked == ["one", "two"]
    now[0] += GOOD_SECONDS
    attempt(made, "one")
    assert service.asked == ["one", "two", "one"]
    made.forget()                   # the next tick
    attempt(made, "one")
    assert service.asked == ["one", "two", "one", "one"]


def test_a_keystone_that_is_silent_is_waited_for_once(service: Service) -> None:
    now = [0.0]
    made = trials(service, now)
    service.error = KeystoneUnreachable("no Keystone answers")
    for trust in ("one", "two", "three"):
        attempt(made, trust)        # accepted: the operation waits for Keystone
    assert service.asked == ["one"]
    now[0] += SILENT_SECONDS
    service.error = None
    attempt(made, "two")
    assert service.asked == ["one", "two"]


def test_a_refusal_is_said_each_time(service: Service) -> None:
    made = trials(service, [0.0])
    service.error = TokenRejected("the trust was removed", cause=Cause.REMOVED)
    for _ in range(2):
        with pytest.raises(TokenRejected):
            attempt(made, "one")
    assert service.asked == ["one", "one"]
    with pytest.raises(RightsPending, match="have just been changed"):
        attempt(made, "one", id="of-another")


def test_what_is_remembered_is_no_credential(service: Service) -> None:
    made = trials(service, [0.0])
    attempt(made, "a secret")
    assert "a secret" not in repr(vars(made))
