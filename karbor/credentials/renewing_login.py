"""Renewal: a login that stays good, asked for from many threads at once.

keystoneauth's own plugins renew themselves too, with three habits that do not fit a service:
`invalidate` may drop a token that another thread has just renewed (and makes the other thread
fail: its caller reads the attribute after the lock); every 401 leads to a new login, also when the
new token is refused as well; and a token with less than two minutes to live counts as expired, so
tokens that are short by nature are renewed at every single request.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1.access import AccessInfo
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session

from karbor.domain.errors import CredentialError

MARGIN = 120.0
"""Seconds before its end at which a token is renewed; a short token after half of its life."""

QUIET = 30.0
"""Seconds in which one refused token leads to at most one new login, and a refused login to none.
"""

UNREACHABLE_QUIET = 1.0
"""Seconds in which waiting threads are told what the one that asked has found."""


@dataclass(frozen=True)
class _Login:
    """A token and what this machine's clock says of it: from Keystone's times only their distance
    is taken, so clocks that differ do no harm."""

    access: AccessInfo
    ends: float
    margin: float


class RenewingLogin(BaseIdentityPlugin):  # type: ignore[misc]
    """Keeps the login of another plugin fresh. For any number of threads:

    - one thread renews, the others go on with the token there is as long as it lives;
    - a token that a service refused is dropped once, and only if it still is the current one;
    - while refusals go on in spite of a new token, Keystone is left alone (`QUIET`).

    `session` is what the login goes over; None: that of the request. `check` sees every new
    AccessInfo and raises when it is unfit; `explain` turns an exception of keystoneauth into an
    error of ours.
    """

    def __init__(
        self,
        inner: BaseIdentityPlugin,
        *,
        explain: Callable[[Exception], CredentialError],
        check: Callable[[AccessInfo], None] = lambda _access: None,
        session: Session | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(auth_url=inner.auth_url)
        self._renewing = threading.Lock()
        self.inner = inner
        self._explain = explain
        self._check = check
        self._session = session
        self._clock = clock
        self._login: _Login | None = None
        self._handed = threading.local()    # the token this thread has put into its request
        self._renewed_for_refusal = float("-inf")
        self._failure: CredentialError | None = None
        self._failed_at = float("-inf")

    def get_auth_ref(self, session: Session) -> AccessInfo:
        """Log in now. Raises CredentialError."""
        try:
            access = self.inner.get_auth_ref(self._session or session)
        except (ksa.ClientException, OSError) as error:
            raise self._explain(error) from error
        self._check(access)
        return access

    def get_access(self, session: Session, **_ignored: Any) -> AccessInfo:
        """Return the current login, renewed if need be. Raises CredentialError."""
        login = self._login
        if login is None or self._left(login) < login.margin:
            login = self._renew(session, login)
        self._handed.token = login.access.auth_token
        return login.access

    @property
    def ends(self) -> float | None:
        """When the current token ends, by this machine's clock; None: never, or there is none."""
        login = self._login
        return None if login is None or login.ends == float("inf") else login.ends

    def invalidate(self) -> bool:
        """Note that a service refused what this thread sent. Return whether another try is worth
        while."""
        handed = getattr(self._handed, "token", None)
        with self._renewing:
            login = self._login
            if login is None or handed != login.access.auth_token:
                return True         # somebody else has dropped or renewed it already
            now = self._clock()
            ripe = self._left(login) < login.margin
            if not ripe and now - self._renewed_for_refusal < QUIET:
                return False
            self._renewed_for_refusal = now
            self._login = None
            return True

    def renew(self, session: Session) -> None:
        """Log in anew, however long the present token lives; it stays when that fails. Raises
        CredentialError."""
        with self._lock:
            self._refuse_while_quiet()
            self._log_in(session)

    def _renew(self, session: Session, seen: _Login | None) -> _Login:
        # Who finds a token that will do for a while lets the one who renews go on alone.
        spare = seen if seen and self._left(seen) > seen.margin / 4 else None
        if not self._renewing.acquire(blocking=spare is None):
            assert spare is not None    # noqa: S101 - a blocking acquire always succeeds
            return spare
        try:
            if self._login is not None and self._login is not seen:
                return self._login      # renewed while this thread waited for the lock
            if spare is not None and self._holding_back():
                return spare
            self._refuse_while_quiet()
            try:
                return self._log_in(session)
            except CredentialError as error:
                if error.transient and spare is not None:
                    return spare        # Keystone is away for a moment; this one still lives
                raise
        finally:
            self._renewing.release()

    def _log_in(self, session: Session) -> _Login:
        """Log in anew. Called with the lock. Raises CredentialError."""
        begun = self._clock()
        try:
            login = self._dated(self.get_auth_ref(session), begun)
        except CredentialError as error:
            self._failure, self._failed_at = error, self._clock()
            raise
        self._failure, self._login = None, login
        return login

    def _holding_back(self) -> bool:
        if self._failure is None:
            return False
        quiet = UNREACHABLE_QUIET if self._failure.transient else QUIET
        return self._clock() - self._failed_at < quiet

    def _refuse_while_quiet(self) -> None:
        failure = self._failure
        if failure is not None and self._holding_back():
            raise copy.copy(failure)

    def _left(self, login: _Login) -> float:
        """Return the seconds this token still lives."""
        return login.ends - self._clock()

    @staticmethod
    def _dated(access: AccessInfo, begun: float) -> _Login:
        issued, expires = access.issued, access.expires
        if issued is None or expires is None:
            return _Login(access, float("inf"), 0.0)
        life = float((expires - issued).total_seconds())
        return _Login(access, begun + life, min(MARGIN, life / 2))
