"""Ladder: the auth plugin of one operation, which changes its credential in mid-flight.

Whoever holds the session (a plugin, a client library) notices nothing: the next request simply
goes out with the other token. The change comes at the deadline of a rung, or earlier, when a
service refuses the token and Keystone confirms that it is dead.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from keystoneauth1.access import AccessInfo
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session

from karbor.credentials.credential import Credential
from karbor.credentials.standing import Standing
from karbor.credentials.vouched import Delegating
from karbor.domain.errors import CredentialError, KarborError, TokenRejected, TokenUnsettled

LOG = logging.getLogger(__name__)

DOUBT_QUIET = 5.0
"""Seconds in which a token is examined at most once, however many requests are refused."""

CLIMB_AGAIN = 5.0
"""Seconds after which a change that Keystone could not be reached for is tried again."""

FRESH = 10.0
"""Seconds after a change in which a refusal of the new token does not count. Keystone's revocations
have a grain of one second: a token made in the second in which the user's others were revoked is
revoked with them."""

Changed = Callable[[Credential, str], None]
"""Is told of a change: the credential as it is now, and a sentence for the operation's log."""


class Ladder(Delegating):
    """`build` makes the auth of the rung that a credential stands on; `changed` hears of changes.

    `ended` says why the operation cannot go on: its last deadline has come, or what should have
    carried it further was taken back. What is left of the present token then serves for cleaning
    up; a driver looks at it between requests.

    Making one raises CredentialError when there is nothing to begin with: a rung that was over
    before, as after a night without a process, is left for the one that was to follow.
    """

    def __init__(self, credential: Credential, build: Callable[[Credential], Standing],
                 changed: Changed = lambda _credential, _why: None,
                 clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.credential = credential
        self._build = build
        self._changed = changed
        self._clock = clock
        self._lock = threading.RLock()
        self._handed = threading.local()
        self._refused: CredentialError | None = None    # why the next rung cannot be had
        self._dead: CredentialError | None = None       # why there is nothing left at all
        self._tried_at = float("-inf")
        self._examined_at = float("-inf")
        self._changed_at = float("-inf")
        try:
            self._standing = build(credential)
        except TokenRejected as over:
            if not credential.following:
                raise
            self._go_on(over.message)

    # ------------------------------------------------------------------ what a driver asks
    @property
    def ended(self) -> KarborError | None:
        if self._dead or self._refused:
            return self._dead or self._refused
        credential = self.credential
        if credential.until is not None and self._clock() >= credential.until:
            return TokenRejected(
                f"the time of its credential ({credential.rung}) is over; what is left of it "
                "serves for cleaning up", remedy="begin anew with a login that lasts longer; "
                "karbor doctor shows what there is")
        return None

    # ------------------------------------------------------------------ what a session asks
    @property
    def inner(self) -> BaseAuthPlugin:
        return self._present().auth

    def get_headers(self, session: Session) -> dict[str, str] | None:
        standing = self._present()
        self._handed.standing = standing
        try:
            return standing.auth.get_headers(session)
        except TokenRejected as error:
            self._dead = error      # a login of ours was to be renewed, and Keystone refused it
            raise

    def get_access(self, session: Session, **_ignored: Any) -> AccessInfo:
        return self._present().auth.get_access(session)

    @property
    def auth_url(self) -> str:
        return self.credential.auth_url

    def watch(self) -> Callable[[], bool]:
        """Called before a request is sent, and what it returns when the answer has come: whether
        the time of what the request was sent with came in between, and something follows."""
        before = self.credential

        def overtaken() -> bool:
            return self.credential is not before or (
                bool(before.following) and self._refused is None and self._dead is None
                and before.deadline is not None and self._clock() >= before.deadline)

        return overtaken

    def invalidate(self) -> bool:
        """A service answered 401 to this thread. True: another try is worth while.

        Raises TokenRejected with the cause when there is nothing left to try with."""
        standing = getattr(self._handed, "standing", None)
        if standing is not self._standing:
            return True             # it has changed meanwhile
        renewed = standing.auth.invalidate()
        return self._doubt(standing) or renewed

    def doubt(self) -> None:
        """A service answered 503, or 401 again: it does so too when Keystone refuses to tell it
        about a token. Raises TokenRejected with the cause if that is so, and TokenUnsettled
        (transient) when the token is a new one, which may be refused for a moment."""
        standing = self._standing
        if not self._doubt(standing) and self._clock() - self._changed_at < FRESH:
            raise TokenUnsettled(f"a new token ({self.credential.rung}) was refused",
                                 remedy="it is tried again")

    # ------------------------------------------------------------------ changing
    def _present(self) -> Standing:
        """Where it stands now, after a change that is due."""
        if self._dead is not None:
            raise self._dead
        deadline = self.credential.deadline
        if deadline is not None and self._clock() >= deadline and self._may_climb:
            with self._lock:
                if self.credential.deadline == deadline and self._may_climb:
                    self._climb("its deadline came")
        return self._standing

    @property
    def _may_climb(self) -> bool:
        return (bool(self.credential.following) and self._refused is None
                and self._clock() - self._tried_at >= CLIMB_AGAIN)

    def _climb(self, why: str) -> bool:
        """To the next rung, if Keystone lets it be had."""
        try:
            self._go_on(why)
        except CredentialError as error:
            if error.transient:
                LOG.warning("no change of the credential for now: %s", error)
            else:
                self._refused = error
            return False
        return True

    def _go_on(self, why: str) -> None:
        """The next rung is tried before this one is left. Raises CredentialError."""
        before, after = self.credential, self.credential.climbed()
        self._tried_at = self._clock()
        standing = self._build(after)
        standing.prove()
        self.credential, self._standing = after, standing
        self._tried_at, self._changed_at = float("-inf"), self._clock()
        self._changed(after, f"credential changed from {before.rung} to {after.rung}: {why}")

    def _doubt(self, standing: Standing) -> bool:
        """Look whether Keystone still knows the token; change when it does not. True after a
        change, also one that another thread has made."""
        with self._lock:
            if standing is not self._standing:
                return True
            if self._dead is not None:
                raise self._dead
            if self._clock() - self._examined_at < DOUBT_QUIET:
                return False
            self._examined_at = self._clock()
            try:
                found = standing.examine()
            except CredentialError as error:
                LOG.warning("Keystone could not be asked about a refused token: %s", error)
                return False
            if found is None:
                return False
            if self.credential.following and self._refused is None:
                if self._climb(found.message):
                    return True
                if self._refused is None:
                    return False        # Keystone is away for a moment
            # What the next rung was refused for is nearer to the cause than what killed this one.
            self._dead = self._refused or found
            raise self._dead
