"""TokenProbe: what the doctor asks of a cloud. Tokens never leave the hands that implement it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from karbor.domain.caller import Caller


class Speaker(StrEnum):
    """Whose tokens a request bears. The probe token is a user's token that is over."""

    NOBODY = "no token"
    USER = "the user's token"
    USER_AND_SERVICE = "the user's token and Karbor's service token"
    PROBE = "an expired token"
    PROBE_AND_SERVICE = "an expired token and Karbor's service token"
    PROBE_AND_DOUBTFUL = "an expired token, and another one without the role beside it"


@dataclass(frozen=True)
class Answer:
    """What came back. `status` is 0 when nothing did; `text` then says why, else what the service
    says went wrong. `ahead` is by how many seconds its clock is before ours, as the Date header
    tells (to about a second)."""

    status: int
    text: str = ""
    body: Any = None
    ahead: float | None = None

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def unsure(self) -> bool:
        """Whether another try may be answered otherwise."""
        return self.status in (0, 408, 429) or self.status >= 500


@dataclass(frozen=True)
class Account:
    """A login, as Keystone describes it. Times are Keystone's."""

    caller: Caller
    issued_at: float
    expires_at: float
    form: str                       # of its token: fernet, jws, or unknown
    renews: bool = True             # it can log in again by itself
    access_rules: bool = False      # it may do only what is listed in its application credential
    project_scoped: bool = True
    ahead: float = 0.0              # seconds by which Keystone's clock is before ours

    @property
    def life(self) -> float:
        """Seconds from its token's beginning to its end, or what is left where it was passed on."""
        return self.expires_at - self.issued_at


@dataclass(frozen=True)
class Address:
    """One endpoint of the catalog. `used` tells whether this login's requests go there."""

    type: str
    name: str
    region: str
    interface: str
    url: str
    used: bool


@dataclass(frozen=True)
class Served:
    """A service to be asked, by a request that changes nothing. `url` is where paths begin."""

    type: str
    name: str
    url: str
    question: str                   # the whole address of a cheap GET that needs a token
    sure: bool = True               # whether that GET is known to be one


@dataclass(frozen=True)
class Trial:
    """How far a trust came: `steps` are make, log in, use, remove, until the first that failed."""

    steps: Sequence[tuple[str, Answer]] = field(default=())

    @property
    def failed(self) -> tuple[str, Answer] | None:
        return next(((name, answer) for name, answer in self.steps if not answer.good), None)


class TokenProbe(Protocol):
    """One login of one cloud, examined. All methods may be called from several threads.

    Requests are sent once, with no renewal behind a refusal: what a service says to exactly these
    tokens is the point. Answers are returned, not raised, also when none comes.
    """

    @property
    def auth_url(self) -> str: ...

    def user(self) -> Account:
        """Return the login of clouds.yaml. Raises CredentialError."""

    def service(self) -> Account:
        """Return the login of [service_user], fit or not. Raises CredentialError when there is
        none."""

    def trustee_unfit(self) -> str:
        """Return why the account that would hold trusts cannot; empty if it can. Raises
        CredentialError when Keystone does not answer."""

    def addresses(self) -> list[Address]:
        """Return every endpoint of the catalog."""

    def services(self) -> list[Served]:
        """Return every service of the catalog in this login's region and interface, but
        Keystone; two entries with one address count as one."""

    def ask(self, url: str, speaker: Speaker, method: str = "GET", *, json: Any = None,
            data: bytes | None = None, version: str = "") -> Answer:
        """Send one request. `version` is a microversion, as `compute 2.1`."""

    def renew(self) -> None:
        """Log in again: the present tokens were refused, though they should be good."""

    def validate(self, *, allow_expired: bool, fresh: bool = False) -> Answer:
        """Return what Keystone says of the probe token to the service account; `fresh`: over a
        connection of its own."""

    def take_probe_token(self) -> float:
        """Lay aside a token as the login gives it; return when it ends. Makes nothing. Raises
        CredentialError."""

    def make_probe_token(self, name: str, life: float) -> float:
        """Make an application credential of this name that ends in so many seconds of Keystone's
        clock, and lay aside a token of it; when the token ends. Raises CredentialError,
        CloudError."""

    def drop_probe_token(self, name: str) -> Answer:
        """Remove every application credential of this name; the probe token is revoked then."""

    def lay_aside(self) -> tuple[str, float]:
        """Return a token of the service account that is for no project, sealed, and its end: for
        a later run. Raises CredentialError."""

    def validate_sealed(self, sealed: str) -> Answer:
        """Return what Keystone says of a sealed token, as `validate` with allow_expired does.
        Raises CredentialError when it cannot be opened."""

    def try_trust(self, roles: Sequence[str], expires_at: float, question: str) -> Trial:
        """Let the user trust the trustee, log in with it, ask `question`, remove it."""

    def try_registered(self, id: str, sealed: str) -> Answer:
        """Log in with the application credential that the user has registered with Karbor."""

    def drop_trust(self, expires_at: float) -> Answer:
        """Remove what an interrupted `try_trust` with this end may have left."""
