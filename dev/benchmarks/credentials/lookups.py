"""What finding a service's address costs: looked up once, against a search for each request."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from keystoneauth1.adapter import Adapter

from dev.benchmarks.credentials.blocks import in_turns
from dev.benchmarks.credentials.karbor_conf import configured, logged_in
from dev.benchmarks.credentials.stand_in import INTERFACES, TYPES, stand_in
from karbor.clients.endpoints import Endpoints
from karbor.clients.services import KNOWN
from karbor.credentials.authority import Authority

SIZES = (40, 500)


def measure(*, times: int, rounds: int) -> dict[str, Any]:
    return {"times": times, "rounds": rounds,
            "catalogs": [_with(size, times, rounds) for size in SIZES]}


def _with(size: int, times: int, rounds: int) -> dict[str, Any]:
    with ExitStack() as stack:
        url = stack.enter_context(stand_in(endpoints=size))
        conf = stack.enter_context(configured(f"{url}/v3"))
        region = f"Region{size // (len(INTERFACES) * len(TYPES)) // 2 + 1}"     # in the middle
        login = stack.enter_context(logged_in(Authority(conf), f"{url}/v3", region))
        endpoints, cinder = Endpoints(conf, login), KNOWN["cinder"]
        searching = Adapter(login.session, service_type="block-storage", interface="public",
                            region_name=region)
        knowing = Adapter(login.session, endpoint_override=endpoints.of(cinder))
        assert searching.get_endpoint() == endpoints.of(cinder), "both must find the same"

        once = in_turns({
            "keystoneauth's Adapter, each time": searching.get_endpoint,
            "Karbor, each time": lambda: endpoints.of(cinder),
            "Karbor, the first time": lambda: Endpoints(conf, login).of(cinder),
        }, times=times, rounds=rounds)
        whole = in_turns({
            "keystoneauth's Adapter": lambda: searching.get("/things"),
            "the same with Karbor's address": lambda: knowing.get("/things"),
        }, times=times, rounds=rounds)
    return {"endpoints": size, "lookups": [one.to_dict() for one in once],
            "requests": [one.to_dict() for one in whole]}
