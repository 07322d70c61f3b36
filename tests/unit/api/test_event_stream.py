"""An operation is followed while it runs: server-sent events, which end and are taken up again."""

from __future__ import annotations

import json
import threading
import uuid

import pytest
import sqlalchemy as sa

from karbor.api.event_stream import MEDIA, Message, StreamLimiter
from karbor.api.v1 import operation_logs
from karbor.domain.errors import StoreUnavailable
from karbor.domain.operation import Operation, OperationEvent, OperationState, Verb
from karbor.store.journal import SqlJournal
from karbor.store.operations import Operations
from tests.unit.api.conftest import Api
from tests.unit.api.people import MINE, THEIRS

WANTED = {"Accept": MEDIA}


def parsed(text: str) -> list[tuple[str, str, object]]:
    """(id, kind, data) of each message."""
    out = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            out.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return out


@pytest.fixture
def journal(engine: sa.Engine) -> SqlJournal:
    return SqlJournal(engine)


@pytest.fixture
def operation(engine: sa.Engine, journal: SqlJournal) -> Operation:
    made = Operation(str(uuid.uuid4()), Verb.PROTECT, MINE, {"user_id": "u"},
                     {"rung": "trust"}, {}, str(uuid.uuid4()))
    records = Operations(engine)
    records.add(made)
    records.note(made.id, 1.0, "it waits")
    return made


def test_a_long_list_of_events_comes_in_parts(
        api: Api, operation: Operation, journal: SqlJournal, engine: sa.Engine) -> None:
    """Of three at most each, as all lists; `over` is said with the last one."""
    for number in range(6):
        Operations(engine).note(operation.id, 2.0, f"event {number}")
    journal.move(operation.id, journal.claim(operation.id), OperationState.FAILED, now=3.0)
    path, after, parts = f"/operation_logs/{operation.id}/events", 0, []
    for _ in range(3):
        answer = api("GET", path, query_string=f"after={after}").json
        parts.append(([one["number"] for one in answer["events"]], answer["over"]))
        after = answer["events"][-1]["number"]
    assert parts == [([1, 2, 3], False), ([4, 5, 6], False), ([7, 8], True)]


def test_it_is_followed_to_its_end(api: Api, operation: Operation, journal: SqlJournal,
                                   engine: sa.Engine) -> None:
    looks, operations = iter(range(3)), api.wiring.operations
    real, records = operations.show, Operations(engine)

    def show(*which: object) -> Operation:
        """Between two looks something happens."""
        number = next(looks, 9)
        if number == 1:
            records.note(operation.id, 2.0, "it runs")
        if number == 2:
            fence = journal.claim(operation.id)
            journal.move(operation.id, fence, OperationState.FAILED, now=3.0,
                         error={"message": "no space"})
        return real(*which)     # type: ignore[arg-type]

    operations.show = show           # type: ignore[method-assign]
    api.wiring.streams._look = 0.0
    answer = api("GET", f"/operation_logs/{operation.id}/events", headers=WANTED)
    assert answer.headers["content-type"].startswith(MEDIA)
    *events, end = parsed(answer.text)
    assert [(id, kind, told["text"]) for id, kind, told in events] == [     # type: ignore[index]
        ("1", "event", "it waits"), ("2", "event", "it runs"), ("3", "event", "queued → failed")]
    assert end[:2] == ("", "end")
    assert end[2]["operation_log"]["error_info"] == "no space"      # type: ignore[index]


def test_what_happened_is_read_in_parts_too(
        api: Api, operation: Operation, journal: SqlJournal, engine: sa.Engine,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the list: no request, and no look of a stream, reads more than it tells."""
    for number in range(6):
        Operations(engine).note(operation.id, 2.0, f"event {number}")
    journal.move(operation.id, journal.claim(operation.id), OperationState.FAILED, now=3.0)
    read: list[int] = []
    usual = Operations.events

    def events(self: Operations, *which: str, **bounds: int) -> list[OperationEvent]:
        found = usual(self, *which, **bounds)
        read.append(len(found))
        return found

    monkeypatch.setattr(Operations, "events", events)
    monkeypatch.setattr(operation_logs, "EVENTS_OF_A_LOOK", 3)
    api.wiring.streams._look = 0.0
    path = f"/operation_logs/{operation.id}/events"
    answer = api("GET", path, headers=WANTED)
    assert [(id, kind) for id, kind, _ in parsed(answer.text)] == [
        *[(str(number), "event") for number in range(1, 9)], ("", "end")]
    assert read == [3, 3, 2]
    read.clear()
    api("GET", path)
    assert read == [4]      # one more than an answer has, to know whether it is the last


def test_it_goes_on_behind_the_last_that_was_seen(api: Api, operation: Operation,
                                                  engine: sa.Engine) -> None:
    Operations(engine).note(operation.id, 2.0, "it runs")
    api.wiring.streams.end()        # a server that stops tells what there is
    path = f"/operation_logs/{operation.id}/events"
    for more in ({"headers": {**WANTED, "Last-Event-ID": "1"}},
                 {"headers": WANTED, "query_string": "after=1"}):
        answer = api("GET", path, **more)
        assert answer.text.startswith("retry: 3000\n\n")
        assert [one[0] for one in parsed(answer.text)] == ["2"]
    assert [one["number"] for one in api("GET", path).json["events"]] == [1, 2]
    api("GET", path, headers={**WANTED, "Last-Event-ID": "x"}, status=400)
    api.of(THEIRS)("GET", path, headers=WANTED, status=404)


def message(text: str) -> Message:
    return Message("event", text)


def test_whoever_finds_no_place_is_told_what_there_is_and_to_come_back() -> None:
    places = StreamLimiter(1, look=0.0)
    open_one = places.stream(lambda: ([message("a")], False))
    assert next(open_one).startswith(b"retry")
    assert next(open_one).startswith(b"event")
    assert next(open_one)       # it has the place now
    refused = places.stream(lambda: ([message("b")], False))
    assert len(list(refused)) == 2
    open_one.close()            # type: ignore[attr-defined]
    taken = places.stream(lambda: ([], False))
    assert [next(taken), next(taken)] == [b"retry: 3000\n\n", b":\n\n"]


def test_it_ends_after_a_while_and_with_the_server() -> None:
    assert list(StreamLimiter(1, longest=0.0).stream(lambda: ([], False))) == [b"retry: 3000\n\n"]
    places = StreamLimiter(1, look=60.0)
    threading.Timer(0.01, places.end).start()
    assert list(places.stream(lambda: ([], False))) == [b"retry: 3000\n\n"]


def test_what_fails_before_it_began_has_a_status_and_later_it_ends() -> None:
    fails = iter([False, True])

    def look() -> tuple[list[Message], bool]:
        if next(fails):
            raise StoreUnavailable("the database is away")
        return [], False

    places = StreamLimiter(1, look=0.0)
    assert len(list(places.stream(look))) == 1
    fails = iter([True])
    with pytest.raises(StoreUnavailable):
        places.stream(look)
