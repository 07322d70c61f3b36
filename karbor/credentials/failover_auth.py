"""Failover auth: the auth plugin of one operation, which changes its credential in mid-flight.

Whoever holds the session (a plugin, a client library) notices nothing: the next request simply
goes out with the other token. The change comes at the deadline of a credential, or earlier: when a
service refuses the token and Keystone confirms that it is dead, and before a service is asked for
work that would outlast it.

A refusal that may pass (see `refusal.passes`) ends nothing at once: every request is held back with
a transient error until Keystone accepts the credential again, for a bounded time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from keystoneauth1.access import AccessInfo
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session

from karbor.credentials.active_credential import ActiveCredential
from karbor.credentials.credential import Credential
from karbor.credentials.refusals import nearest, passes
from karbor.credentials.service_token_auth import DelegatingAuth
from karbor.domain.credential_chain import margin
from karbor.domain.errors import (
    Cause,
    CredentialError,
    CredentialSuspended,
    KarborError,
    LoginFailed,
    ServiceUserUnfit,
    TokenRejected,
    TokenUnsettled,
)
from karbor.domain.times import moment_text, span_text

LOG = logging.getLogger(__name__)

DOUBT_QUIET_SECONDS = 5.0
"""In which a token is examined at most once, however many requests are refused."""

CHANGE_AGAIN_SECONDS = 5.0
"""After which a change that Keystone could not be reached for is tried again."""

EARLY_AGAIN_SECONDS = 300.0
"""After which a change before its time, which was refused, is tried again."""

LOOK_AGAIN_SECONDS = 5.0
"""After which Keystone is asked again whether a credential that it refused works again."""

FRESH_SECONDS = 10.0
"""After a change in which a refusal of the new token does not count. Keystone's revocations have a
grain of one second: a token made in the second in which the user's others were revoked is revoked
with them."""

Changed = Callable[[Credential, str], None]
"""Is told of a change: the credential as it is now, and a sentence for the operation's log."""


class FailoverAuth(DelegatingAuth):
    """`build` makes the auth of the credential in use; `changed` hears of changes.
    `patience` is for how many seconds a refusal that may pass is waited out.

    `ended` says why the operation cannot go on: its last deadline has come, or what should have
    carried it further was taken back. What is left of the present token then serves for cleaning
    up; a driver looks at it between requests.

    Making one raises CredentialError when there is nothing to begin with: a credential that was
    over before, as after a night without a process, is left for the one that was to follow.
    """

    def __init__(self, credential: Credential, build: Callable[[Credential], ActiveCredential],
                 changed: Changed = lambda _credential, _why: None,
                 clock: Callable[[], float] = time.time, patience: float = 0.0) -> None:
        super().__init__()
        self.credential = credential
        self._build = build
        self._changed = changed
        self._clock = clock
        self._patience = patience
        self._lock = threading.RLock()
        self._handed = threading.local()
        self._active: ActiveCredential | None = None      # None: none could be had yet
        self._refused: CredentialError | None = None    # why the next credential cannot be had
        self._dead: CredentialError | None = None       # why there is nothing left at all
        self._held: CredentialError | None = None       # why every request is held back for now
        self._tried_at = float("-inf")
        self._early_refused_at = float("-inf")
        self._examined_at = float("-inf")
        self._looked_at = float("-inf")
        self._changed_at = float("-inf")
        self._refused_since: float | None = None        # of a change that is due
        self._told_too_short = False
        if credential.refused_since is not None:        # another process was waiting
            self._held = TokenRejected("Keystone refused what the operation runs on",
                                       cause=Cause.REFUSED)
            return
        self._begin()

    def _begin(self) -> None:
        try:
            self._active = self._build(self.credential)
        except TokenRejected as over:
            refusal: CredentialError | None = None
            if self.credential.following:
                try:
                    return self._go_on(over.message)
                except CredentialError as error:
                    if error.transient:
                        raise
                    refusal = error
            told = self._hold(nearest(over, refusal))
            if not told.transient:
                raise told from None

    # ------------------------------------------------------------------ what a driver asks
    @property
    def ended(self) -> KarborError | None:
        if self._dead or self._refused:
            return self._dead or self._refused
        with self._lock:
            if self._held is not None and self._clock() >= self._held_until:
                return self._hold(self._held)
        credential = self.credential
        if credential.until is not None and self._clock() >= credential.until:
            return TokenRejected(
                f"the time of its credential ({credential.kind}) is over; what is left of it "
                "serves for cleaning up", remedy="begin anew with a login that lasts longer; "
                "karbor doctor shows what there is")
        return None

    def ensure(self, seconds: float) -> float | None:
        """Renew the token, or change to the next credential, before a service is asked for work
        that is expected to take so long and that it does with the token it was asked with, where
        the present token would not outlast it. Where none lasts so long it is the one that lasts
        longest.

        Returns when the token that is sent next ends, in seconds since the epoch; None: never.
        Raises a transient CredentialError where one may be had that Keystone cannot give now."""
        with self._lock:
            active = self._present()
            if not self._outlasts(active, seconds):
                active.renew()
            may = self._clock() - self._early_refused_at >= EARLY_AGAIN_SECONDS
            if not self._outlasts(active, seconds) and may and self.credential.following:
                self._climb_early(seconds)
            present = self._present()
            if not self._told_too_short and not self._outlasts(present, seconds):
                self._told_too_short = True
                left = self._useful_until(present) - self._clock()
                self._changed(self.credential, "no token lasts as long as a service's work may "
                              f"take ({span_text(seconds)}): what it does not end within "
                              f"{span_text(max(0.0, left))} may fail")
            return present.ends()

    def _outlasts(self, active: ActiveCredential, seconds: float) -> bool:
        return self._clock() + seconds <= self._useful_until(active)

    def _useful_until(self, active: ActiveCredential) -> float:
        """Return until when the token is of use that it sends now, the margin deducted."""
        ends, credential = active.ends(), self.credential
        window = credential.window
        token = float("inf") if ends is None else ends + window - margin(window)
        last = float("inf") if credential.deadline is None else credential.deadline
        return min(token, last)

    def _climb_early(self, seconds: float) -> None:
        why = (f"a service was to be asked for work of up to {span_text(seconds)}, which the "
               "present one would not outlast")
        try:
            self._go_on(why)
        except CredentialError as error:
            if error.transient:
                raise
            self._early_refused_at = self._clock()
            after = self.credential.following[0].kind
            self._changed(self.credential, f"no change to {after} for now, which would outlast "
                          f"work of up to {span_text(seconds)}: {error.message}")

    # ------------------------------------------------------------------ what a session asks
    @property
    def inner(self) -> BaseAuthPlugin:
        return self._present().auth

    def get_headers(self, session: Session) -> dict[str, str] | None:
        active = self._present()
        self._handed.active = active
        try:
            return active.auth.get_headers(session)
        except (TokenRejected, ServiceUserUnfit, LoginFailed) as error:
            # A login of ours was to be renewed, and Keystone refused it.
            raise self._hold(error) from None

    def get_access(self, session: Session, **_ignored: Any) -> AccessInfo:
        active = self._present()
        try:
            return active.auth.get_access(session)
        except (TokenRejected, LoginFailed) as error:
            raise self._hold(error) from None

    @property
    def auth_url(self) -> str:
        return self.credential.auth_url

    def watch(self) -> Callable[[], bool]:
        """Return what is to be called when the answer to the request has come: it tells whether the
        time of what the request was sent with came in between, and something follows."""
        before = self.credential

        def overtaken() -> bool:
            return self.credential.kind is not before.kind or (
                bool(before.following) and self._refused is None and self._dead is None
                and before.deadline is not None and self._clock() >= before.deadline)

        return overtaken

    def invalidate(self) -> bool:
        """Note that a service answered 401 to this thread. Return whether another try is worth
        while.

        Raises TokenRejected with the cause when there is nothing left to try with, and
        CredentialSuspended when there may be again."""
        active = getattr(self._handed, "active", None)
        if active is not self._active or active is None:
            return True             # it has changed meanwhile
        renewed = active.auth.invalidate()
        return self._doubt(active) or renewed

    def doubt(self) -> None:
        """Ask Keystone, since a service answered 503, or 401 again: it does so too when Keystone
        refuses to tell it about a token. Raises TokenRejected with the cause if that is so,
        CredentialSuspended when it may pass, and TokenUnsettled (transient) when the token is a new
        one, which may be refused for a moment."""
        active = self._active
        if active is None or (not self._doubt(active)
                                and self._clock() - self._changed_at < FRESH_SECONDS):
            raise TokenUnsettled(f"a new token ({self.credential.kind}) was refused",
                                 remedy="it is tried again")

    # ------------------------------------------------------------------ changing
    def _present(self) -> ActiveCredential:
        """Return the credential in use, after a change that is due. Raises CredentialSuspended
        while it is refused."""
        if self._dead is not None:
            raise self._dead
        if self._held is not None or self._active is None:
            self._look_again()
        deadline = self.credential.deadline
        if deadline is not None and self._clock() >= deadline and self._may_climb:
            with self._lock:
                if self.credential.deadline == deadline and self._may_climb:
                    self._change("its deadline came", due=True)
        assert self._active is not None   # noqa: S101 - else it would be held back
        return self._active

    @property
    def _may_climb(self) -> bool:
        return (bool(self.credential.following) and self._refused is None
                and self._clock() - self._tried_at >= CHANGE_AGAIN_SECONDS)

    def _change(self, why: str, *, due: bool = False) -> CredentialError | None:
        """Change to the next credential if Keystone lets it be had; else return why it could not be
        had. `due`: the time of the present one is over, though it still works."""
        try:
            self._go_on(why)
        except CredentialError as error:
            if error.transient:
                LOG.warning("no change of the credential for now: %s", error)
            elif not passes(error) or (due and self._clock() >= self._change_refused(error)):
                self._refused = error
            return error
        return None

    def _change_refused(self, error: CredentialError) -> float:
        """Return until when a change that was refused is tried again: what is left of the present
        token has to serve for cleaning up."""
        credential, now = self.credential, self._clock()
        if not self._patience:
            return now
        first = self._refused_since is None
        since = self._refused_since = now if self._refused_since is None else self._refused_since
        until = since + self._patience
        if credential.deadline is not None:
            until = min(until, credential.deadline + margin(credential.window) / 2)
        if first and now < until:
            self._changed(credential, f"the change to {credential.following[0].kind} is refused "
                          f"for now: {error.message}; it is tried again until "
                          f"{moment_text(until)}")
        return until

    def _go_on(self, why: str) -> None:
        """Change to the next credential, which is tried before the present one is left. Raises
        CredentialError."""
        before, after = self.credential, self.credential.next()
        self._tried_at = self._clock()
        active = self._build(after)
        active.prove()
        self.credential, self._active = after, active
        self._tried_at, self._changed_at = float("-inf"), self._clock()
        self._refused_since = None
        self._changed(after, f"credential changed from {before.kind} to {after.kind}: {why}")

    def _doubt(self, active: ActiveCredential) -> bool:
        """Look whether Keystone still knows the token; change when it does not. True after a
        change, also one that another thread has made."""
        with self._lock:
            if active is not self._active:
                return True
            if self._dead is not None:
                raise self._dead
            if self._held is not None:
                raise self._hold(self._held)
            if self._clock() - self._examined_at < DOUBT_QUIET_SECONDS:
                return False
            self._examined_at = self._clock()
            try:
                credential_error: CredentialError | None = active.examine()
            except ServiceUserUnfit as error:
                raise self._hold(error) from None
            except CredentialError as error:
                LOG.warning("Keystone could not be asked about a refused token: %s", error)
                return False
            if credential_error is None:
                return False
            refusal: CredentialError | None = self._refused
            if self.credential.following and refusal is None:
                refusal = self._change(credential_error.message)
                if refusal is None:
                    return True
                if refusal.transient:
                    return False        # Keystone is away for a moment
            raise self._hold(nearest(credential_error, refusal))

    # ------------------------------------------------------------------ waiting
    @property
    def _held_until(self) -> float:
        since = self.credential.refused_since
        return (self._clock() if since is None else since) + self._patience

    def _hold(self, why: CredentialError) -> CredentialError:
        """Return what to raise for a refusal: itself, for good, or, while it may pass, a
        transient error that says so."""
        with self._lock:
            if why.transient:
                return why
            if not passes(why) or not self._patience:
                self._dead = why
                return why
            now = self._clock()
            since = self.credential.refused_since
            if since is None:
                since = now
                self.credential = replace(self.credential, refused_since=now)
                self._held, self._looked_at = why, now
                self._changed(self.credential, f"waits, at most until "
                              f"{moment_text(self._held_until)}: {why.message}")
            self._held = why
            if now >= self._held_until:
                self._dead = TokenRejected(
                    f"{why.message}; it did not work again within {span_text(self._patience)}",
                    remedy=why.remedy, cause=getattr(why, "cause", Cause.UNKNOWN))
                return self._dead
            return CredentialSuspended(
                f"waits since {moment_text(since)}, at most until "
                f"{moment_text(self._held_until)}: {why.message}", remedy=why.remedy)

    def _look_again(self) -> None:
        """Find out whether what was refused works again. Raises CredentialSuspended while it does
        not."""
        with self._lock:
            if self._dead is not None:
                raise self._dead
            if self._held is None:
                return
            if self._clock() - self._looked_at >= LOOK_AGAIN_SECONDS:
                self._looked_at = self._clock()
                credential_error = self._still_refused()
                if credential_error is None:
                    self._released()
                    return
                self._held = credential_error if not credential_error.transient else self._held
            raise self._hold(self._held)

    def _still_refused(self) -> CredentialError | None:
        """Return why neither the present credential nor the next one works."""
        try:
            if self._active is None:
                self._active = self._build(self.credential)
            self._active.renew()
            credential_error: CredentialError | None = self._active.examine()
        except CredentialError as error:
            credential_error = error
        if credential_error is None or credential_error.transient or not self.credential.following:
            return credential_error
        try:
            self._go_on(credential_error.message)
        except CredentialError as error:
            return error if error.transient else nearest(credential_error, error)
        return None

    def _released(self) -> None:
        since = self.credential.refused_since
        waited = self._clock() - (self._clock() if since is None else since)
        self._held = None
        self.credential = replace(self.credential, refused_since=None)
        self._changed_at = self._clock()
        self._changed(self.credential, "Keystone accepts what the operation runs on again, after "
                      f"{span_text(waited)}: it goes on")
