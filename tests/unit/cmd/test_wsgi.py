"""The application for a WSGI server: made once, at the first requests."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from karbor.cmd import database, wsgi
from karbor.domain.errors import StoreUnavailable

THREADS = 8


def ask(application: Any) -> str:
    told: list[str] = []

    def start(status: str, *_rest: Any) -> None:
        told.append(status)

    environ: dict[str, Any] = {"PATH_INFO": "/healthcheck"}
    setup_testing_defaults(environ)
    answer: Iterable[bytes] = application(environ, start)
    list(answer)
    return told[0]


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[service_user]\nauth_type = password\n"
                    "auth_url = http://127.0.0.1:9/v3\nusername = karbor\npassword = secret\n"
                    "project_name = service\nuser_domain_id = default\n"
                    "project_domain_id = default\n")
    monkeypatch.setenv("KARBOR_CONFIG", str(file))
    monkeypatch.setattr("karbor.cmd.logs.set_up", lambda _conf: None)


@pytest.mark.usefixtures("configured")
def test_of_many_first_requests_one_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    opening, all_here = database.open_database, threading.Barrier(THREADS)

    def slowly(conf: Any) -> Any:
        opened.append(opening(conf))
        threading.Event().wait(0.2)     # long enough for all of them to come here, if they may
        return opened[-1]

    monkeypatch.setattr(database, "open_database", slowly)
    application = wsgi._Application()

    def request(_number: int) -> str:
        all_here.wait(30)
        return ask(application)

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(request, range(THREADS))) == {"200 OK"}
    assert len(opened) == 1
    opened[0].dispose()


@pytest.mark.usefixtures("configured")
def test_what_could_not_be_made_is_made_by_a_later_request(monkeypatch: pytest.MonkeyPatch) -> None:
    opening, opened = database.open_database, []

    def failing(_conf: Any) -> Any:
        raise StoreUnavailable("the server starts")

    def noted(conf: Any) -> Any:
        opened.append(opening(conf))
        return opened[-1]

    application = wsgi._Application()
    monkeypatch.setattr(database, "open_database", failing)
    with pytest.raises(StoreUnavailable):
        ask(application)
    monkeypatch.setattr(database, "open_database", noted)
    assert ask(application) == "200 OK"
    opened[0].dispose()
