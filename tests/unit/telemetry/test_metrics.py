"""What Prometheus gets, also when something cannot be told."""

from __future__ import annotations

import logging
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests as rq
from prometheus_client import CollectorRegistry, generate_latest

from karbor import config
from karbor.credentials.request_counters import RequestCounters
from karbor.credentials.transport import Transport
from karbor.domain.errors import BadInput, StoreUnavailable
from karbor.domain.operation import Operation, OperationState, Verb
from karbor.domain.plan import Plan
from karbor.operations.events import OPERATION_END, operation_payload
from karbor.store.connect import connect
from karbor.store.operations import Operations
from karbor.store.plans import Plans
from karbor.store.quotas import Quotas
from karbor.store.tables import METADATA
from karbor.telemetry.metrics import MetricsServer, Sources, metrics, metrics_app
from karbor.telemetry.operation_counters import OperationCounters
from karbor.telemetry.ttl_cache import TtlCache
from tests.unit.credentials.wire import Reply, Sent, Wire


def conf(**values: Any) -> config.ConfigOpts:
    made = config.load([])
    for name, value in values.items():
        made.set_override(name, value, "metrics")
    return made


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    engine = connect(f"sqlite:///{tmp_path / 'karbor.sqlite'}")
    METADATA.create_all(engine)
    Plans(engine, Quotas(engine, {"plans": -1, "checkpoints": -1})).add(
        Plan("plan-1", "p", 'web "1"\n', "prov", created_at=1.0))
    Operations(engine).add(Operation("op", Verb.PROTECT, "p", {}, {
        "rung": "user + service token", "deadline": 1e9, "until": 9e9,
        "sealed": "gAAAA-secret"}, {}, created_at=1.0))
    yield engine
    engine.dispose()


def scrape(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def test_the_figures_of_a_service(database: Any) -> None:
    text = scrape(metrics(conf(), Sources(database, lambda: 1e9, rights=lambda: [None, 9e9])))
    for line in ('karbor_operations{state="queued",verb="protect"} 1.0',
                 'karbor_operations_ended_total{state="failed",verb="restore"} 0.0',
                 "karbor_record_copies_waiting 1.0",
                 "karbor_queue_operations 1.0", "karbor_plans_without_good_checkpoint 1.0",
                 ('karbor_plan_good_checkpoints{plan_id="plan-1",plan_name="web \\"1\\"\\n",'
                  'project_id="p"} 0.0'),
                 'karbor_credential_operations{rung="user + service token"} 1.0',
                 "karbor_schedule_rights 2.0", 'karbor_scrape_good{part="plans"} 1.0',
                 'karbor_scrape_errors_total{part="operations"} 0.0'):
        assert line in text.splitlines()
    for name in ("karbor_queue_oldest_seconds ", "karbor_service_token_seconds -",
                 'karbor_credential_change_seconds{rung="user + service token"} -',
                 'karbor_credential_end_seconds{rung="user + service token"} ', "karbor_info{",
                 "karbor_schedule_right_end_seconds ", "karbor_plan_unprotected_seconds{"):
        assert f"\n{name}" in text
    assert "secret" not in text


def test_plans_can_be_told_together_and_the_database_elsewhere(database: Any) -> None:
    together = scrape(metrics(conf(plans=False), Sources(database)))
    assert "plan-1" not in together
    assert "karbor_plans 1.0" in together
    assert "karbor_operations" not in scrape(metrics(conf(database=False), Sources(database)))


def test_what_cannot_be_told_is_said_and_hides_nothing(
        database: Any, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Any:
        raise StoreUnavailable("the database cannot be used")

    registry = metrics(conf(), Sources(database, more={"broken": broken}))
    with caplog.at_level(logging.WARNING):
        scrape(registry)
        text = scrape(registry)
    assert 'karbor_scrape_good{part="broken"} 0.0' in text
    assert 'karbor_scrape_errors_total{part="broken"} 2.0' in text
    assert "karbor_queue_operations 1.0" in text
    assert len(caplog.records) == 1


def test_requests_are_counted_by_outcome_and_no_address_is_told() -> None:
    def answer(sent: Sent) -> Reply:
        if sent.path == "/v3/dead":
            raise rq.ConnectTimeout
        return Reply(404)

    counters = RequestCounters()
    session = Transport(1, Wire(answer), counters)
    session.name("http://h/v3", "cinder")
    session.get("http://h/v3/x")
    session.get("http://user:hunter2@elsewhere/")
    with pytest.raises(rq.ConnectTimeout):
        session.get("http://h/v3/dead")
    text = scrape(metrics(conf(), Sources(requests=counters)))
    for labels in ('method="GET",outcome="404",service="cinder"',
                   'method="GET",outcome="timeout",service="cinder"',
                   'method="GET",outcome="404",service="other"'):
        assert f"karbor_cloud_requests_total{{{labels}}} 1.0" in text
    assert "hunter2" not in text


def test_operations_that_were_driven_here() -> None:
    driven = OperationCounters()
    done = Operation("op", Verb.PROTECT, "p", {}, {}, {"size": 7}, state=OperationState.DONE,
                     created_at=1.0, finished_at=3.5, result={"evidence": "checksums"})
    driven.tell(OPERATION_END, operation_payload(done))
    text = scrape(metrics(conf(), Sources(driven=driven)))
    assert 'karbor_driven_operation_seconds_sum{state="done",verb="protect"} 2.5' in text
    assert 'karbor_driven_resource_bytes_total{evidence="checksums",verb="protect"} 7.0' in text


def test_an_answer_and_a_failure_are_given_again_for_a_while() -> None:
    now, asked = [0.0], []

    def ask() -> int:
        asked.append(now[0])
        if len(asked) == 2:
            raise StoreUnavailable("away")
        return len(asked)

    remembering = TtlCache(ask, 10.0, lambda: now[0])
    assert [remembering(), remembering()] == [1, 1]
    now[0] = 10.0
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            remembering()
    now[0] = 20.0
    assert remembering() == 3


def test_a_worker_answers_only_where_that_is_enabled() -> None:
    registry = metrics(conf(), Sources())
    with MetricsServer(conf(), registry) as silent:
        assert silent.port is None
    with MetricsServer(conf(enabled=True, listen_port=0), registry) as server:
        url = f"http://127.0.0.1:{server.port}/metrics"
        with urllib.request.urlopen(url) as answer:
            assert b"karbor_info" in answer.read()
        with pytest.raises(BadInput, match="cannot listen"), \
                MetricsServer(conf(enabled=True, listen_port=server.port), registry):
            pass


def test_the_application_answers_wherever_it_is_mounted() -> None:
    said: list[str] = []
    body = metrics_app(metrics(conf(), Sources()))(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": ""},
        lambda status, _headers: said.append(status))
    assert said == ["200 OK"]
    assert b"karbor_info" in b"".join(body)


def test_the_alerts_of_the_documentation_ask_for_figures_that_there_are(database: Any) -> None:
    text = (Path(__file__).parents[3] / "docs" / "operators" / "monitoring.md").read_text()
    asked = {name for line in text.splitlines() if line.strip().startswith("expr:")
             for name in re.findall(r"karbor_[a-z_]+", line)}
    told = scrape(metrics(conf(), Sources(database, lambda: 1e9, rights=lambda: [9e9])))
    assert len(asked) > 6
    assert {one for one in asked if f"# TYPE {one} " not in told} == set()
    assert "absent(karbor_plan_unprotected_seconds)" in text
