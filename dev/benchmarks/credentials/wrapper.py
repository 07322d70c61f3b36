"""What the second token costs per request: Karbor's session and wrapper, against keystoneauth's."""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial
from typing import Any

from keystoneauth1.service_token import ServiceTokenAuthWrapper

from dev.benchmarks.credentials.blocks import in_turns
from dev.benchmarks.credentials.karbor_conf import (
    closing_session,
    configured,
    log_in,
    logged_in,
    password,
)
from dev.benchmarks.credentials.stand_in import ALONE, BOTH, stand_in
from karbor.credentials.authority import Authority
from karbor.credentials.service_token_auth import ServiceTokenAuth
from karbor.credentials.session import open_session
from karbor.credentials.user_auth import user_auth


def measure(*, times: int, rounds: int) -> dict[str, Any]:
    """`requests`: whole ones over kept connections. `headers`: only what the plugins add to each
    (a hundred times as often, since it is little)."""
    with ExitStack() as stack:
        url = stack.enter_context(stand_in())
        auth_url = f"{url}/v3"
        conf = stack.enter_context(configured(auth_url))
        user = log_in(auth_url)
        alone = user_auth(user.token, user.body, auth_url)
        authority = Authority(conf)
        login = stack.enter_context(logged_in(authority, auth_url))
        operation = authority.resume(login.credential.to_dict(), live=login)
        theirs = ServiceTokenAuthWrapper(alone, password(auth_url, "karbor", "service"))
        ours = ServiceTokenAuth(alone, authority.service())
        sessions: dict[str, Any] = {
            "keystoneauth, user's token only": stack.enter_context(closing_session(alone)),
            "keystoneauth, ServiceTokenAuthWrapper": stack.enter_context(closing_session(theirs)),
            "Karbor, user's token only": stack.enter_context(closing(open_session(conf, alone))),
            "Karbor, user's and service token": stack.enter_context(
                closing(open_session(conf, ours))),
            "Karbor, both, as an operation has it": stack.enter_context(closing(operation.session)),
        }
        paths = dict(zip(sessions, (ALONE, BOTH, ALONE, BOTH, BOTH), strict=True))
        requests = in_turns(
            {name: partial(session.get, url + paths[name] + "things")
             for name, session in sessions.items()}, times=times, rounds=rounds)
        headers = in_turns(
            {name: partial(session.auth.get_headers, session)
             for name, session in sessions.items() if name != "Karbor, user's token only"},
            times=100 * times, rounds=rounds)
    return {"times": times, "rounds": rounds,
            "requests": [one.to_dict() for one in requests],
            "headers": [one.to_dict() for one in headers]}
