"""How often Keystone is asked when many users of one process share its service login.

Each user is a thread with a token and a session of their own. All of them send a request at the
same moment, again and again: also at the moment at which the service token is due for renewal. The
service tokens that arrive are counted by the service that is asked, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import requests

from dev.benchmarks.credentials.karbor_conf import User, configured, log_in
from dev.benchmarks.credentials.stand_in import BOTH, stand_in
from karbor.config import ConfigOpts
from karbor.credentials.renewing_login import MARGIN
from karbor.credentials.service_auth import ServiceAuth
from karbor.credentials.service_token_auth import ServiceTokenAuth
from karbor.credentials.session import open_session
from karbor.credentials.user_auth import user_auth


@dataclass(frozen=True)
class Crowd:
    """What one process with so many users has asked of Keystone. `lives` is how many service
    tokens were due in the time it took."""

    users: int
    lives: int
    seconds: float
    requests: int
    logins: int
    discoveries: int
    service_tokens_seen: int

    @property
    def one_per_life(self) -> bool:
        return self.logins == self.service_tokens_seen == self.lives


def measure(auth_url: str, *, users: Sequence[int], lives: int, pace: float = 5.0,
            tell: Callable[[str], None] = lambda _line: None,
            logins_seen: Callable[[], int] | None = None) -> dict[str, Any]:
    """Crowds of these sizes, all at the same time, each with a service login of its own.

    A request per user every `pace` seconds, until `lives` tokens were used. `logins_seen` tells
    how many logins Keystone itself has counted, where that can be known.
    """
    tell(f"{sum(users)} users log in")
    with ThreadPoolExecutor(4) as pool:
        people = list(pool.map(lambda _: log_in(auth_url), range(sum(users))))
    life = people[0].life
    useful = life - min(MARGIN, life / 2)
    # Till the middle of the last one: neither a renewal too few nor one too many is a rounding.
    seconds = (lives - 1) * useful + useful / 2
    tell(f"tokens live {life:.0f} s and are renewed after {useful:.0f} s; "
         f"{lives} of them take {seconds:.0f} s")
    before = logins_seen() if logins_seen else 0
    with configured(auth_url) as conf, stand_in() as url, ThreadPoolExecutor(len(users)) as pool:
        parts = [[people.pop() for _ in range(size)] for size in users]
        crowds = list(pool.map(lambda part: _crowd(
            conf, url, part, lives=lives, seconds=seconds, pace=pace), parts))
    return {"token_life": life, "renewed_after": useful, "pace": pace,
            "logins_counted_by_keystone": logins_seen() - before if logins_seen else None,
            "crowds": [asdict(one) | {"one_per_life": one.one_per_life} for one in crowds]}


def _crowd(conf: ConfigOpts, url: str, people: list[User], *, lives: int, seconds: float,
           pace: float) -> Crowd:
    size = len(people)
    together = threading.Barrier(size)
    service = ServiceAuth(conf)

    def use(user: User) -> int:
        auth = ServiceTokenAuth(user_auth(user.token, user.body), service)
        sent = 0
        with closing(open_session(conf, auth)) as session:
            together.wait()
            begin = time.monotonic()
            while (passed := time.monotonic() - begin) < seconds:
                session.get(f"{url}{BOTH}{size}/things")
                sent += 1
                time.sleep(max(0.0, min((passed // pace + 1) * pace, seconds)
                               - (time.monotonic() - begin)))
        return sent

    begin = time.monotonic()
    with closing(service.session), ThreadPoolExecutor(size) as pool:
        sent = sum(pool.map(use, people))
        counted = service.session.transport.counted
    seen = requests.get(f"{url}/seen/{size}", timeout=60).json()["service_tokens"]
    return Crowd(size, lives, round(time.monotonic() - begin, 1), sent,
                 counted["keystone", "POST"], counted["keystone", "GET"], seen)
