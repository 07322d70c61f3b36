"""Refusal causes: why Keystone refuses what an operation runs on.

Keystone answers a refused login with 401 or 403 and hides the reason. It says more to others: the
trustee is told whether a trust still exists, and whoever may validate tokens is told of an older
token of the same user which of its foundations is gone. Put together they name the cause.
"""

from __future__ import annotations

from collections.abc import Callable

from keystoneauth1 import exceptions as ksa

from karbor.credentials.refusals import away
from karbor.domain.errors import Cause, CredentialError, TokenRejected

Examine = Callable[[], Cause | None]
"""What Keystone says of a token: None if it is good. Raises CredentialError when it cannot tell."""


def refused_trust(error: Exception, *, auth_url: str | None, exists: Callable[[], bool],
                  user_token: Examine) -> CredentialError:
    """Return why a login for a trust was refused. `user_token` is about the token of the user
    who made it. Never raises: a diagnosis that fails leaves what was known."""
    if (nobody := away(error, auth_url)) is not None:
        return nobody
    try:
        if not exists():
            return removed("the trust that the operation runs on")
        cause = user_token()
    except CredentialError as trouble:
        if trouble.transient:
            return trouble
        cause = Cause.UNKNOWN
    match cause:
        case Cause.PROJECT_DISABLED:
            return project_disabled()
        case Cause.ROLE_LOST | None:
            # None: the user can still log in and do something there, but not all of it.
            return role_lost("the trust")
        case Cause.REVOKED:
            return user_disabled()
    return TokenRejected(
        "the user was disabled, or has lost a role that the trust passes on (Keystone does not say "
        "which of both)", remedy="put it right, and begin anew", cause=Cause.REFUSED)


def refused_application_credential(error: Exception, *, auth_url: str | None, last_token: Examine,
                                   user_token: Examine) -> CredentialError:
    """Return why a login with an application credential was refused. `last_token` is about the
    last token that it gave, and says UNKNOWN if there was none."""
    if (nobody := away(error, auth_url)) is not None:
        return nobody
    try:
        cause = last_token()
        if cause not in (Cause.REMOVED, Cause.PROJECT_DISABLED, Cause.ROLE_LOST):
            cause = user_token()
    except CredentialError as trouble:
        if trouble.transient:
            return trouble
        cause = Cause.UNKNOWN
    match cause:
        case Cause.REMOVED:
            return removed("the application credential that the operation runs on")
        case Cause.PROJECT_DISABLED:
            return project_disabled()
        case Cause.ROLE_LOST:
            return role_lost("the application credential")
        case Cause.REVOKED:
            return user_disabled()
    # Keystone knows no application credential of this id (404), or says no more (401).
    gone = isinstance(error, ksa.NotFound)
    return TokenRejected(
        "Keystone refuses the application credential that the operation runs on: it was removed, "
        "it has expired, or its user was disabled",
        remedy="register another one: karbor credential register",
        cause=Cause.REMOVED if gone else Cause.REFUSED)


def dead_token(cause: Cause, within_window: bool) -> TokenRejected:
    """Return the error for a user's token that is over; `within_window` says that by its times it
    should not be."""
    match cause:
        case Cause.PROJECT_DISABLED:
            return project_disabled()
        case Cause.ROLE_LOST:
            return role_lost("the token")
        case Cause.REMOVED:
            return removed("the trust or application credential that the user's token came from")
        case Cause.KEY_GONE:
            return TokenRejected(
                "Keystone cannot read the user's token any more: the key it was made with was "
                "rotated away", remedy="[fernet_tokens] max_active_keys must cover token life and "
                "allow_expired_window: karbor doctor", cause=cause)
        case Cause.REFUSED:
            return TokenRejected(
                "what the user's token stands for was taken back: its user was disabled, or its "
                "trust has lost a role", remedy="the user has to log in again", cause=cause)
    if within_window:
        return TokenRejected(
            "the user's token was revoked: the user was disabled, has changed the password, or "
            "ended that login", remedy="the user has to log in again", cause=Cause.REVOKED)
    return TokenRejected(
        "the user's token is over: expired for longer than Keystone's window",
        remedy="log in again; for longer operations raise [token] allow_expired_window",
        cause=Cause.OVER)


def removed(what: str) -> TokenRejected:
    return TokenRejected(f"{what} was removed from Keystone", remedy="begin the operation anew",
                         cause=Cause.REMOVED)


def project_disabled() -> TokenRejected:
    return TokenRejected("the project was disabled",
                         remedy="it works again when the project is enabled again",
                         cause=Cause.PROJECT_DISABLED)


def user_disabled() -> TokenRejected:
    return TokenRejected("the user was disabled",
                         remedy="it works again when the user is enabled again",
                         cause=Cause.USER_DISABLED)


def role_lost(what: str) -> TokenRejected:
    return TokenRejected(f"the user has lost a role in the project that {what} needs",
                         remedy="give the role back", cause=Cause.ROLE_LOST)
