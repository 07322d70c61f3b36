"""Every error Karbor raises on purpose.

    KarborError
    ├── BadInput                   what was asked for cannot be done as it was asked
    │   ├── UnknownName            a name or id that nothing visible to the caller bears
    │   ├── AmbiguousName          a name that several things bear
    │   └── Obstacles              a plan that would fail, with every reason found
    ├── NotFound                   a checkpoint or operation that does not exist for this project
    ├── Conflict                   it exists, but in a state that forbids the request
    │   └── InUse                  something else needs it
    ├── Forbidden                  it exists, and who asks may not do this with it
    ├── OverQuota                  the project has as much as Karbor grants it
    ├── CredentialError            who asks, or on whose behalf, cannot be proved
    │   ├── LoginFailed            Keystone refused the name and password (or their like)
    │   ├── KeystoneUnreachable    nobody answers at the authentication URL (transient)
    │   ├── TokenRejected          a user token is over: expired beyond the window, or revoked
    │   ├── RightsPending          what a schedule shall run on is just being made (transient)
    │   ├── CredentialSuspended    what an operation runs on is refused, which may pass (transient)
    │   ├── TokenUnsettled         a token so new that not everybody accepts it yet (transient)
    │   ├── NoLastingCredential    none that the caller can have lasts as long as the operation
    │   └── ServiceUserUnfit       [service_user] cannot do its duty: no role, no project, no login
    ├── CloudError                 a service of the cloud answered with an error
    │   ├── ServiceAbsent          this cloud has no such service
    │   ├── CloudUnavailable       5xx, 429, timeout, lost connection (transient)
    │   ├── CloudUnauthorized      401 in spite of a credential thought good
    │   ├── CloudForbidden         403: policy
    │   ├── CloudNotFound          404: the thing is gone
    │   ├── RequestRefused         the request does not fit: asked again, it is refused again
    │   │   ├── CloudConflict      409 or 412: ... the state of a thing, which may change
    │   │   └── CloudBadRequest    400 or 422: ... in itself; Cinder and Manila say so of states too
    │   ├── QuotaExceeded          413, or 403 with a quota named
    │   └── RemoteFailed           a thing went to an error state by itself
    │       └── WorkInterrupted    its service broke the work off: it may succeed when asked anew
    ├── BankError                  the bank cannot do what was asked
    │   ├── BankUnavailable        it does not answer (transient)
    │   ├── BankFull               no space left
    │   ├── BankReadOnly           it refuses writes
    │   ├── ObjectMissing          an object that should be there is not
    │   ├── ObjectExists           put-if-absent found one
    │   ├── ObjectDamaged          what was read is not what was written
    │   └── NewerFormat            written by a later Karbor
    ├── StoreError                 the database cannot do what is asked
    │   ├── StoreUnavailable       it does not answer, is locked, or is full (transient)
    │   └── NewerDatabase          made by a later Karbor
    ├── PluginFault                a plugin did not keep its contract
    ├── DeadlinePassed             something did not become ready in its time
    ├── StepFailed                 an error met again in the journal
    ├── Fenced                     another process drives this operation now
    └── Cancelled                  the user wanted it to end

`transient` says whether the same request may succeed later without anybody doing anything;
`awaits_repair` that an operation that meets it stops where it is, and goes on when somebody has
repaired the cause;
`remedy` says what a person can do about it. They are translated to exit codes in `cli/exits.py`
and to HTTP in `api/errors.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar


class KarborError(Exception):
    """The root: a message for people, and what they can do next."""

    transient: ClassVar[bool] = False
    awaits_repair: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str = "", resource: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.resource = resource

    def facts(self) -> dict[str, Any]:
        """Return what a journal or an API keeps of the error: small JSON, never a secret."""
        out: dict[str, Any] = {"error": type(self).__name__, "message": self.message}
        if self.remedy:
            out["remedy"] = self.remedy
        if self.resource:
            out["resource"] = self.resource
        return out

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


OBSTACLES_TOLD = 10
"""Of many obstacles so many are told in one line."""


def why(facts: Mapping[str, Any]) -> str:
    """Return what the facts of an error say, in one line for people: of which resource, what
    happened, what stood in the way, and what to do."""
    text = str(facts.get("message", ""))
    if facts.get("resource"):
        text = f"{facts['resource']}: {text}"
    found = list(dict.fromkeys(
        obstacle["what"] + (f" ({obstacle['remedy']})" if obstacle.get("remedy") else "")
        for obstacle in facts.get("obstacles", ())))
    for one in found[:OBSTACLES_TOLD]:
        text += f"; {one}"
    if len(found) > OBSTACLES_TOLD:
        text += f"; and {len(found) - OBSTACLES_TOLD} more"
    return text + (f" ({facts['remedy']})" if facts.get("remedy") else "")


class BadInput(KarborError):
    """What was asked for cannot be done as it was asked; nothing has been touched."""


class UnknownName(BadInput):
    """Nothing visible to the caller bears this name or id."""


class AmbiguousName(BadInput):
    """Several things bear this name: an id is needed."""


class Obstacles(BadInput):
    """A plan that would fail. `found` has every reason, each with its remedy."""

    def __init__(self, message: str, found: Sequence[Mapping[str, str]]) -> None:
        super().__init__(message)
        self.found = [dict(one) for one in found]

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "obstacles": self.found}

    def __str__(self) -> str:
        lines = [f"  - {one['what']}" + (f" ({one['remedy']})" if one.get("remedy") else "")
                 for one in self.found]
        return "\n".join([self.message, *dict.fromkeys(lines)])     # one cause, many resources


class NotFound(KarborError):
    """No such checkpoint, operation or provider in this project."""


class Conflict(KarborError):
    """The thing exists, but its state forbids what was asked."""


class InUse(Conflict):
    """Something else needs the thing: it cannot be removed yet."""


class Forbidden(KarborError):
    """The policy of this Karbor does not let the caller do this."""


class OverQuota(KarborError):
    """The project has as many of these as Karbor's own quota grants it."""


class CredentialError(KarborError):
    """Who asks, or on whose behalf, cannot be proved."""


class LoginFailed(CredentialError):
    """Keystone refused the login. `final`: it will refuse the same one for ever."""

    def __init__(self, message: str, *, remedy: str = "", resource: str = "", final: bool = False
                 ) -> None:
        super().__init__(message, remedy=remedy, resource=resource)
        self.final = final


class KeystoneUnreachable(CredentialError):
    """Nobody answers at the authentication URL."""

    transient = True


class Cause(StrEnum):
    """Why a token is over, as far as Keystone tells."""

    UNKNOWN = "unknown"
    OVER = "over"                   # expired for longer than the window
    REVOKED = "revoked"             # it, its user or the user's password
    OVER_OR_REVOKED = "over or revoked"
    KEY_GONE = "key gone"           # the key it was made with was rotated away
    PROJECT_DISABLED = "project disabled"
    USER_DISABLED = "user disabled"
    ROLE_LOST = "role lost"
    REMOVED = "removed"             # the trust or application credential that it came from
    REFUSED = "refused"             # a trust of which Keystone says no more


class TokenRejected(CredentialError):
    """A user's token, or what stands for it, is over: expired beyond Keystone's window, revoked,
    or unreadable."""

    def __init__(self, message: str, *, remedy: str = "", resource: str = "",
                 cause: Cause = Cause.UNKNOWN) -> None:
        super().__init__(message, remedy=remedy, resource=resource)
        self.cause = cause


class TokenUnsettled(CredentialError):
    """A service refused a token that has only just been made."""

    transient = True


class CredentialSuspended(CredentialError):
    """Keystone refuses what an operation runs on, for a reason that may pass: the project or the
    user was disabled, a role was taken away. The operation waits for it, for a bounded time."""

    transient = True


class RightsPending(CredentialError):
    """The rights that a scheduled operation shall run on are just being made."""

    transient = True


class NoLastingCredential(CredentialError):
    """No credential of this caller lasts as long as the operation is expected to take."""


class ServiceUserUnfit(CredentialError):
    """The account of [service_user] cannot vouch for users: no role, no project, or no login."""


class CloudError(KarborError):
    """A service of the cloud answered with an error. Names the request and its id."""

    def __init__(
        self,
        message: str,
        *,
        service: str = "",
        request: str = "",
        request_id: str = "",
        status: int | None = None,
        remedy: str = "",
        resource: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy, resource=resource)
        self.service = service
        self.request = request
        self.request_id = request_id
        self.status = status

    def facts(self) -> dict[str, Any]:
        own = {"service": self.service, "request": self.request,
               "request_id": self.request_id, "status": self.status}
        return {**super().facts(), **{k: v for k, v in own.items() if v}}

    def __str__(self) -> str:
        where = " ".join(part for part in (self.service, self.request) if part)
        tail = f" [{where}{', ' + self.request_id if self.request_id else ''}]" if where else ""
        return super().__str__() + tail


class ServiceAbsent(CloudError):
    """This cloud has no such service: neither its catalog nor the configuration names one. So it
    has no resources of that service either; whoever asks for those expressly is told."""


class CloudUnavailable(CloudError):
    """5xx, 429, a timeout or a lost connection: it may work later."""

    transient = True


class CloudUnauthorized(CloudError):
    """401 although the credential should have been good."""


class CloudForbidden(CloudError):
    """403: policy forbids it to this user."""


class CloudNotFound(CloudError):
    """404: the thing is gone, or belongs to another project."""


class RequestRefused(CloudError):
    """The request does not fit. Whether it may fit later, only the state of the thing can tell
    where a service says 400 of both (as Cinder and Manila do): whoever waits after this has looked
    at that."""


class CloudConflict(RequestRefused):
    """409 or 412: the request does not fit the state of the thing, which may change."""


class CloudBadRequest(RequestRefused):
    """400 or 422: the request itself is wrong, or (Cinder, Manila) does not fit the state."""


class QuotaExceeded(CloudError):
    """The project may not have more of this."""


class RemoteFailed(CloudError):
    """A thing in the cloud went to an error state by itself."""


class WorkInterrupted(RemoteFailed):
    """A service broke off, or lost, the work that it had taken on, as it does when it is restarted:
    the same request may succeed once what is left of the first one has been removed."""


class BankError(KarborError):
    """The bank cannot do what was asked."""


class BankUnavailable(BankError):
    """The bank does not answer."""

    transient = True


class BankFull(BankError):
    """No space is left in the bank."""


class BankReadOnly(BankError):
    """The bank refuses writes."""

    awaits_repair = True


class ObjectMissing(BankError):
    """An object that should be in the bank is not."""


class ObjectExists(BankError):
    """Put-if-absent found an object of that name."""


class ObjectDamaged(BankError):
    """What was read from the bank is not what was written."""


class NewerFormat(BankError):
    """Written by a later Karbor than this one."""


class VaultSealed(BankError):
    """The vault of a project cannot be opened with the key that the provider has."""


class StoreError(KarborError):
    """The database of operations cannot do what is asked."""


class StoreUnavailable(StoreError):
    """The database does not answer, is locked, or is full."""

    transient = True


class NewerDatabase(StoreError):
    """The database was made or upgraded by a later Karbor than this one."""


class PluginFault(KarborError):
    """A plugin did not keep its contract: it returned what it may not return, or raised what is no
    error of Karbor's. Names the plugin and what it was asked for."""

    def __init__(self, message: str, *, remedy: str = "", resource: str = "") -> None:
        super().__init__(message, resource=resource, remedy=remedy or (
            "this is a fault of the plugin: tell whoever maintains it; the log may say more"))


class DeadlinePassed(KarborError):
    """Something did not become ready in its time."""


class Fenced(KarborError):
    """Another process has taken over the operation: this one must not touch it any more."""


class Cancelled(KarborError):
    """The user wanted the operation to end."""


class StepFailed(KarborError):
    """An error that was journalled, met again by a reader of the journal."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__(str(facts.get("message", "unknown error")),
                         remedy=str(facts.get("remedy", "")),
                         resource=str(facts.get("resource", "")))
        self.recorded = dict(facts)

    def facts(self) -> dict[str, Any]:
        return dict(self.recorded)
