"""Status poller: in which state many things are, learnt from one list.

A thousand backups that are waited for are one list request every few seconds, not a thousand
requests. One StatusPoller serves all waits of a kind, of one project, in one process; its lists
follow each other within 1 s while there is news, growing to 15 s while there is none. Between two
lists a few things are asked for by themselves; many wait for the next one.
"""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from karbor.clients.service import PolledKind
from karbor.domain.errors import CloudNotFound, KarborError
from karbor.plugin.cloud import Api, Json

SHORTEST = 1.0
LONGEST = 15.0
GROWTH = 1.5
PATIENCE = 5
"""A list that takes long is asked for at most once in so many times its duration."""

LONG = 2.0
"""Seconds above which no thread is kept waiting for the next list: it asks for its thing alone."""

EARLY = 0.9
"""Who looks again this much of an interval later counts as punctual."""

FEW = 3
"""As many things at most are asked for one by one while the last list is too young for another."""

MANY = 10_000
"""Things that are remembered before those that count for nothing any more are looked for."""

FORGOTTEN = 600.0
"""Seconds after which a thing that nobody looks at counts as not waited for any more."""


@dataclass
class _Watched:
    """One thing that is waited for."""

    since: int                      # only answers to later questions than this count
    looked_at: float
    seen: dict[str, Any] | None = None
    question: int = 0               # the one whose answer `seen` is
    seen_at: float = float("-inf")  # and when it was asked
    state: tuple[Any, ...] | None = None
    looked: bool = False            # somebody has asked for it here: it is of this kind
    listed: bool = False            # a list has shown it
    deleted: bool = False           # the last request that named it has asked for its removal

    def known_since(self, horizon: float) -> bool:
        return self.question > self.since and self.seen_at > horizon


class StatusPoller:
    """What is known of the things of one kind that are waited for. Safe for threads.

    `api` is whoever looks: all who share a poller see the same project.
    """

    def __init__(self, looked: PolledKind, project_id: str,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._looked = looked
        self._query = {name: value.replace("%(project_id)s", project_id)
                       for name, value in looked.query.items()}
        self._clock = clock
        # Questions and events in their order: two may fall on the same instant of the clock.
        self._order = itertools.count(1)
        self._watched: dict[str, _Watched] = {}
        self._changed = threading.Condition()
        self._listing = False
        self._listed_at = float("-inf")     # when the last complete list was asked for
        self._listed = 0                    # and which question it was
        self._failed = 0
        self._failure: KarborError | None = None
        self._took = 0.0
        self._interval = SHORTEST

    @property
    def interval(self) -> float:
        """The seconds until a further look is worth while."""
        return max(self._interval, PATIENCE * self._took)

    def first_poll_delay(self) -> float:
        """Return the seconds until the first look at something that was just asked for is worth
        while: none while few things are waited for, else until a list can be had that shows all of
        them."""
        with self._changed:
            if self._few(coming=1):
                return 0.0
            return max(0.0, self._listed_at + self._pause - self._clock())

    def touched(self, ids: Iterable[str], *, deleted: bool = False) -> None:
        """Note that a request which named these things was sent: what was known of them counts no
        more. `deleted`: it asked for their removal, and the service has agreed."""
        with self._changed:
            order, now = next(self._order), self._clock()
            for id in ids:
                watched = self._watched.setdefault(id, _Watched(order, now))
                watched.since, watched.state, watched.deleted = order, None, deleted
                watched.looked_at = max(watched.looked_at, now)
            if len(self._watched) > MANY:       # named by requests, and nobody looks for them here
                self._forget(now)

    def look(self, id: str, api: Api) -> Json | None:
        """Return the thing as its list shows it, or None when it is gone.

        The first look at a thing, and the first after a request that named it, is a fresh one: by
        a list, or of this thing alone when the last list is too young for another and few things
        are waited for. When a list fails, all threads that waited for it learn why.

        What a list lacks is not gone before the service says so when asked for it by its id;
        except where the service has agreed to its removal, and lists showed it until then.
        """
        with self._changed:
            came = next(self._order)
            watched = self._watch(id, came)
            horizon = self._clock() - EARLY * self.interval
            while True:
                if watched.known_since(horizon):
                    return self._known(id, watched)
                if self._failed > came and self._failure is not None:
                    raise copy.copy(self._failure)
                young = round(self._listed_at + self._pause - self._clock(), 3)
                if (self._listed > max(came, watched.since) or young > LONG
                        or (young > 0 and self._few())):
                    break
                if young > 0:
                    self._changed.wait(young)
                elif self._listing:
                    self._changed.wait()
                else:
                    self._listing = True
                    self._changed.release()
                    try:
                        self._list(api)
                    finally:
                        self._changed.acquire()
        return self._alone(id, watched, api)

    def _known(self, id: str, watched: _Watched) -> Json | None:
        if watched.seen is None:
            self._watched.pop(id, None)
        return watched.seen

    def _few(self, coming: int = 0) -> bool:
        horizon = self._clock() - LONGEST
        return coming + sum(1 for watched in self._watched.values()
                            if watched.looked and watched.looked_at > horizon) <= FEW

    @property
    def _pause(self) -> float:
        return max(SHORTEST, PATIENCE * self._took)

    def _watch(self, id: str, came: int) -> _Watched:
        now = self._clock()
        watched = self._watched.setdefault(id, _Watched(came, now))
        watched.looked_at, watched.looked = now, True
        if watched.state is None:
            self._interval = SHORTEST
        return watched

    def _list(self, api: Api) -> None:
        """Send one list request for everybody."""
        question, begun = next(self._order), self._clock()
        try:
            items = api.list(self._looked.path, self._looked.items, params=self._query)
        except KarborError as error:
            with self._changed:
                self._failure, self._failed = error, next(self._order)
            raise
        else:
            with self._changed:
                self._learn({str(item.get("id")): item for item in items}, question, begun)
        finally:
            with self._changed:
                self._listing = False
                self._changed.notify_all()

    def _learn(self, items: Mapping[str, dict[str, Any]], question: int, begun: float) -> None:
        self._listed_at, self._listed, self._took = begun, question, self._clock() - begun
        news = False
        self._forget(begun)
        for id, watched in self._watched.items():
            if question <= watched.question:
                continue
            if id in items:
                watched.listed = True
                news |= self._note(watched, items[id], question, begun)
            elif (self._looked.complete and watched.deleted and watched.listed
                  and question > watched.since):
                self._note(watched, None, question, begun)
                news = True
        self._interval = SHORTEST if news else min(LONGEST, self._interval * GROWTH)

    def _forget(self, now: float) -> None:
        for id in [
            id for id, watched in self._watched.items() if watched.looked_at < now - FORGOTTEN
        ]:
            del self._watched[id]

    def _alone(self, id: str, watched: _Watched, api: Api) -> Json | None:
        question, begun = next(self._order), self._clock()
        try:
            body = api.get(self._looked.one + id)
        except CloudNotFound:
            with self._changed:
                self._watched.pop(id, None)
                self._interval = SHORTEST
            return None
        item: dict[str, Any] = body[self._looked.item] if self._looked.item else body
        with self._changed:
            if question > watched.question and self._note(watched, item, question, begun):
                self._interval = SHORTEST
        return item

    def _note(self, watched: _Watched, item: dict[str, Any] | None, question: int, begun: float
              ) -> bool:
        """Remember how a thing stands (None: it is gone). Return whether that is news."""
        state = tuple(item.get(name) for name in self._looked.state) if item else ()
        news = watched.state is not None and watched.state != state
        watched.seen, watched.state = item, state
        watched.question, watched.seen_at = question, begun
        return news
