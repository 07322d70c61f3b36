"""What Keystone's refusals mean, told apart, each with what a person can do about it."""

from __future__ import annotations

from keystoneauth1 import exceptions as ksa

from karbor.credentials.connection_faults import fault
from karbor.domain.errors import (
    Cause,
    Conflict,
    CredentialError,
    KarborError,
    KeystoneUnreachable,
    LoginFailed,
    ServiceUserUnfit,
    TokenRejected,
)

PASSING = frozenset({Cause.PROJECT_DISABLED, Cause.USER_DISABLED, Cause.ROLE_LOST, Cause.REFUSED})
"""Causes after which the same credential works again, once somebody has put it right: Keystone
looks at the project, the user and the roles at every login and validation. What was removed,
revoked, or outlived its window or its key stays dead."""


def passes(error: KarborError) -> bool:
    """Return whether what was refused may work again by itself, or by what an administrator
    does."""
    if isinstance(error, TokenRejected):
        return error.cause in PASSING
    if isinstance(error, LoginFailed):
        return not error.final
    return isinstance(error, ServiceUserUnfit)


def nearest(found: CredentialError, refusal: CredentialError | None) -> CredentialError:
    """Return which of two reasons to tell: why the present credential is dead, or why the next one
    was refused. The latter is nearer to the cause; but there is hope as long as one of them may
    pass."""
    if refusal is None or (passes(found) and not passes(refusal)):
        return found
    return refusal


def login_refused(error: Exception, *, who: str, auth_url: str | None, remedy: str
                  ) -> CredentialError:
    """Return why a login failed: at Keystone's door, or because there was none."""
    if isinstance(error, ksa.NotFound) and "token" in _words(error).lower():
        # Without Keystone's words, which may quote it.
        return LoginFailed(f"the token that the login of {who} is made with is over",
                           remedy="get a new one, or log in with a password", final=True)
    # Keystone answers 404 where it knows no such application credential: that is an answer.
    unknown = isinstance(error, ksa.NotFound) and "could not find" in _words(error).lower()
    away = None if unknown else unreachable(error, auth_url)
    if away is not None:
        return away
    return LoginFailed(f"Keystone refused the login of {who}: {_words(error)}", remedy=remedy)


def service_login_refused(error: Exception, *, auth_url: str | None,
                          section: str = "service_user") -> CredentialError:
    """Return the same for an account of Karbor's own."""
    away = unreachable(error, auth_url)
    if away is not None:
        return away
    return ServiceUserUnfit(
        f"Keystone refused the login of [{section}]: {_words(error)}",
        remedy=f"check user name, password, project and domains in the section [{section}]")


def grant_refused(error: Exception, what: str, *, auth_url: str | None) -> KarborError:
    """Return why a user could not make a trust or an application credential. (Keystone's texts
    are those of release 30.) Conflict: there is one like it, which is another one's."""
    words = _words(error)
    lowered = words.lower()
    if isinstance(error, ksa.Conflict):
        return Conflict(f"Keystone has {what} like this one already: {words}",
                        remedy="ask for another one")
    if isinstance(error, ksa.NotFound) and "role" in lowered:
        return TokenRejected(
            f"{what} cannot pass on a role that the user has through a group of an identity "
            f"provider only: {words}",
            remedy="the identity provider's authorization_ttl makes such roles last")
    if (nobody := away(error, auth_url)) is not None:
        return nobody
    if "delegated tokens" in lowered:
        return TokenRejected(f"Keystone lets this login make no trusts (CVE-2026-43000): {words}",
                             remedy="log in with a password, or register an application "
                                    "credential: karbor credential register")
    return TokenRejected(f"Keystone refused {what}: {words}",
                         remedy="see the message; the operator's policy may forbid it")


def trust_login_refused(error: Exception, *, auth_url: str | None) -> CredentialError:
    """Return the error for a login as somebody else that Keystone refused: it does not say why (see
    diagnosis)."""
    return away(error, auth_url) or TokenRejected(
        f"Keystone refused what the operation runs on: {_words(error)}", cause=Cause.REFUSED)


def deletion_refused(error: Exception, what: str, *, auth_url: str | None) -> CredentialError:
    """Return why something that Karbor had made in Keystone could not be removed."""
    return away(error, auth_url) or TokenRejected(f"{what} could not be removed: {_words(error)}",
                                 remedy="it ends by itself; its user can remove it before")


def unreachable(error: Exception, auth_url: str | None) -> KeystoneUnreachable | None:
    """Return whether nobody answered, or nobody who was able to; None when Keystone answered."""
    where = auth_url or "the authentication URL"
    if (found := fault(error)) is not None:
        return KeystoneUnreachable(f"Keystone at {where} {found.what}", remedy=found.remedy)
    match error:
        case ksa.DiscoveryFailure() if isinstance(error.__context__, ksa.ConnectionError):
            return KeystoneUnreachable(f"nobody answers at {where}",
                                       remedy="check auth_url and the network")
        case ksa.DiscoveryFailure() | ksa.NotFound():
            return KeystoneUnreachable(f"no Keystone answers at {where}",
                                       remedy="check auth_url and the network")
        case ksa.HttpServerError() | ksa.TooManyRequests():
            return KeystoneUnreachable(f"Keystone at {where} cannot answer now "
                                       f"({error.http_status})", remedy="try again later")
        case ksa.ConnectionError() | OSError():
            return KeystoneUnreachable(f"nobody answers at {where}",
                                       remedy="check auth_url and the network")
    return None


def away(error: Exception, auth_url: str | None) -> KeystoneUnreachable | None:
    """Return the error for a Keystone that does not answer, where a 404 is about a thing of
    Keystone's (a trust, a role) and not about its address, which has answered before."""
    return None if isinstance(error, ksa.NotFound) else unreachable(error, auth_url)


def validation_refused(error: Exception, *, auth_url: str | None) -> CredentialError:
    """Return why Keystone did not describe a user's token to the service account.

    401: it does not accept the service account's own token. 403: either that account may not ask,
    or the trust behind the user's token has lost what it delegated. 404: the token is over; the
    text says from which cause. 5xx: nothing is known, ask later.
    """
    words = _words(error)
    match error:
        case ksa.Unauthorized():
            return ServiceUserUnfit(
                f"Keystone does not accept the token of [service_user]: {words}",
                remedy="see whether the account is enabled and its project too")
        case ksa.Forbidden() if "validate_token" in words:
            return ServiceUserUnfit(
                "the account of [service_user] may not look at users' tokens",
                remedy="give it the role service on its project")
        case ksa.Forbidden():
            return TokenRejected(
                f"what the user's token stands for was taken back: {words}",
                remedy="its trust or its roles are gone: the user has to log in again",
                cause=Cause.REFUSED)
        case ksa.NotFound():
            return _over(words)
    away = unreachable(error, auth_url)
    return away or TokenRejected(f"Keystone cannot tell about the user's token: {words}")


def _over(words: str) -> TokenRejected:
    """Return whether a 404 of a validation means that the token is over. (Their texts are
    Keystone's; seen with release 30. One of them quotes the token.)"""
    lowered = words.lower()
    if "fernet" in lowered:
        return TokenRejected(
            "Keystone cannot read the user's token: its key was rotated away, or it never was one",
            remedy="[fernet_tokens] max_active_keys must cover token life and allow_expired_window",
            cause=Cause.KEY_GONE)
    if "disabled" in lowered:
        return TokenRejected(f"the user's token is void: {words}",
                             remedy="it works again when the project or user is enabled again",
                             cause=Cause.PROJECT_DISABLED)
    if "application credential" in lowered or "trust" in lowered:
        return TokenRejected(f"what the user's token came from is gone: {words}",
                             remedy="the user has to log in again", cause=Cause.REMOVED)
    if "could not find token" in lowered:
        return TokenRejected("the user has no role in the project any more",
                             remedy="give the role back, or log in again", cause=Cause.ROLE_LOST)
    return TokenRejected(
        "the user's token is over: expired for longer than Keystone's window, or revoked",
        remedy="log in again; for longer operations raise [token] allow_expired_window",
        cause=Cause.OVER_OR_REVOKED)


def _words(error: Exception) -> str:
    """Return what Keystone said, in one line."""
    return " ".join(str(getattr(error, "message", None) or error).split())
