"""What a message bus hears of operations, and what an operation notices of the bus: nothing."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from karbor_testing.journal import MemoryJournal

from karbor import config
from karbor.domain.checkpoint_record import CheckpointRecord, RecordStatus
from karbor.domain.errors import BadInput, NotFound
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.operations.events import run_notifying
from karbor.telemetry import message_bus
from karbor.telemetry.message_bus import sender
from karbor.telemetry.notifications import Bus, notifications

message_bus.oslo_messaging()
_impl_test = importlib.import_module("oslo_messaging.notify._impl_test")


def told(verb: Verb, *states: OperationState, error: Mapping[str, Any] | None = None,
         known: CheckpointRecord | None = None) -> list[tuple[str, Mapping[str, Any]]]:
    journal, heard = MemoryJournal(), []

    class Ear:
        def tell(self, event: str, payload: Mapping[str, Any]) -> None:
            heard.append((event, payload))

    def remembered(_project: str, _checkpoint: str) -> CheckpointRecord:
        if known is None:
            raise NotFound("unknown")
        return known

    def drive() -> OperationState:
        fence = journal.claim("op")
        for state in states:
            if state is OperationState.RUNNING:
                journal.planned("op", fence, {}, [], "c")
            else:
                journal.move("op", fence, state, now=9.0, error=error)
        return states[-1]

    journal.add(Operation("op", verb, "p", {"user_id": "u"}, {"sealed": "gAAAA-secret"},
                          {"provider_id": "prov", "name": "web"}, "c", created_at=1.0))
    assert run_notifying("op", drive, journal, Ear(), remembered) is states[-1]
    run_notifying("op", lambda: states[-1], journal, Ear(), remembered)    # over: nothing to tell
    assert "secret" not in repr(heard)
    return heard


PLANNING, RUNNING, UNDOING, DONE, FAILED = (
    OperationState.PLANNING, OperationState.RUNNING, OperationState.UNDOING, OperationState.DONE,
    OperationState.FAILED)


def test_a_success_and_a_failure_are_told_once() -> None:
    heard = told(Verb.PROTECT, PLANNING, RUNNING, DONE)
    assert [event for event, _ in heard] == [
        "karbor.operation.start", "karbor.operation.end", "karbor.checkpoint.available"]
    assert heard[1][1]["finished_at"] == "1970-01-01T00:00:09.000+00:00"
    heard = told(Verb.PROTECT, PLANNING, FAILED, error={"error": "BankFull", "message": "full"})
    assert [event for event, _ in heard][1:] == ["karbor.operation.error",
                                                 "karbor.checkpoint.error"]
    assert heard[2][1]["reason"] == "full"


def test_a_deleted_checkpoint_is_told_with_its_plan() -> None:
    known = CheckpointRecord("c", "p", "prov", "web", RecordStatus.DELETING, 0.5, plan_id="plan")
    event, payload = told(Verb.DELETE, PLANNING, RUNNING, DONE, known=known)[2]
    assert (event, payload["plan_id"]) == ("karbor.checkpoint.deleted", "plan")
    assert [event for event, _ in told(Verb.VERIFY, PLANNING, RUNNING, DONE)] == [
        "karbor.operation.start", "karbor.operation.end"]


def test_a_bus_that_is_away_is_said_once_and_loses_nothing(
        caplog: pytest.LogCaptureFixture) -> None:
    tries, sent, back = [], [], threading.Event()

    def send(event: str, _payload: Mapping[str, Any]) -> None:
        tries.append(event)
        if len(tries) < 4:
            raise ConnectionRefusedError("no")
        sent.append(event)
        if len(sent) == 2:
            back.set()

    with caplog.at_level(logging.WARNING), Bus(send, first_pause=0.001) as bus:
        bus.tell("a", {})
        bus.tell("b", {})
        assert back.wait(30)
    assert (sent, bus.counted, bus.waiting) == (["a", "b"], {"sent": 2, "lost": 0}, 0)
    assert len([one for one in caplog.records if "takes no notifications" in one.message]) == 1


def test_what_has_no_room_is_lost_and_counted() -> None:
    def send(_event: str, _payload: Mapping[str, Any]) -> None:
        raise ConnectionRefusedError("no")

    bus = Bus(send, waiting=2, first_pause=60.0)
    for event in "abc":
        bus.tell(event, {})
    bus.close()
    assert bus.counted == {"sent": 0, "lost": 3}


def conf(tmp_path: Path, text: str) -> config.ConfigOpts:
    file = tmp_path / "karbor.conf"
    file.write_text("[notifications]\nenabled = true\n" + text)
    return config.load([file])


def test_oslo_messaging_gets_the_event(tmp_path: Path) -> None:
    _impl_test.reset()
    bus = notifications(conf(tmp_path, "[oslo_messaging_notifications]\ndriver = test\n"
                             "transport_url = fake:\n"), "karbor.worker.h")
    assert bus is not None
    with bus:
        bus.tell("karbor.operation.error", {"version": "1.0"})
    _, message, priority, _ = _impl_test.NOTIFICATIONS[0]
    assert (message["event_type"], message["publisher_id"], message["payload"], priority) == (
        "karbor.operation.error", "karbor.worker.h", {"version": "1.0"}, "ERROR")


def test_a_failure_of_oslo_messaging_is_seen_and_not_logged(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    send = sender(conf(tmp_path, "[oslo_messaging_notifications]\ntransport_url = fake:\n"), "k")

    def refuse(*_args: Any, **_options: Any) -> None:
        raise ConnectionRefusedError("no")

    monkeypatch.setattr("oslo_messaging.transport.NotificationTransport._send_notification", refuse)
    with pytest.raises(ConnectionRefusedError):
        send("karbor.operation.end", {})
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


@pytest.mark.parametrize(("text", "said"), [
    ("[oslo_messaging_notifications]\ndriver = typo\ntransport_url = fake:\n", "typo is unknown"),
    ("[oslo_messaging_notifications]\ntransport_url = nonsense://u:hunter2@h\n", "configured"),
])
def test_a_bus_that_makes_no_sense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        notifications(conf(tmp_path, text), "k")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("waiting", [2, 4])
def test_so_many_notifications_wait_for_so_long(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int) -> None:
    """At the end of the process a bus that hangs is waited for as long as the option says."""
    sending, over = threading.Event(), threading.Event()
    pauses: list[float | None] = []
    usual = threading.Thread.join

    def hang(*_args: Any, **_options: Any) -> None:
        sending.set()
        over.wait(30)

    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        pauses.append(timeout)
        usual(thread, timeout)

    monkeypatch.setattr("oslo_messaging.transport.NotificationTransport._send_notification", hang)
    bus = notifications(conf(tmp_path, f"waiting = {waiting}\nshutdown_timeout = 0.125\n"
                             "[oslo_messaging_notifications]\ntransport_url = fake:\n"), "k")
    assert bus is not None
    bus.tell("first", {})
    assert sending.wait(30)
    for number in range(waiting + 3):
        bus.tell(f"{number}", {})
    assert bus.waiting == waiting
    monkeypatch.setattr(threading.Thread, "join", join)
    bus.close()
    monkeypatch.undo()
    over.set()
    assert pauses == [0.125]


def test_nothing_is_loaded_where_it_is_not_enabled() -> None:
    assert notifications(config.load([]), "k") is None
