"""Diagnostic context: the cloud and login under examination, and what is known of them so far."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from karbor.doctor.cleanup import Cleanup
from karbor.doctor.finding import Finding, Verdict
from karbor.doctor.formatting import at, span
from karbor.domain.credential_chain import Strategy
from karbor.domain.probe_token import INEXACT, WindowBounds, is_short, usable
from karbor.plugin.token_probe import Account, Answer, Served, Speaker, TokenProbe, Trial
from karbor.store.probe_tokens import ProbeTokens

_TRIES = 3


@dataclass(frozen=True)
class DoctorOptions:
    """What the person asked for. Times in seconds but `hours`, the length of an operation that the
    findings are about; `cache` is what services may keep a validated token for."""

    hours: float = 24.0
    active: bool = False
    deep: bool = False
    patience: float = 0.0
    cache: float = 300.0


@dataclass(frozen=True)
class Configured:
    """What Karbor's configuration says; see karbor.config."""

    window: float = 172800.0
    role: str = "service"
    service_user: bool = True            # there is a [service_user]
    verified: bool = True           # certificates are
    longest: float = 7 * 86400.0
    trust_roles: frozenset[str] = frozenset({"member"})
    strategy: Strategy = Strategy.AUTO
    registered_until: float | None = None
    registered_id: str = ""
    registered_sealed: str = field(default="", repr=False)


@dataclass
class DiagnosticContext:
    """Findings are added from several threads. `now` is Keystone's time: its moments are those that
    count."""

    probe: TokenProbe
    options: DoctorOptions
    configured: Configured
    probe_tokens: ProbeTokens
    told: Callable[[str], None] = lambda _text: None
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    findings: list[Finding] = field(default_factory=list)
    mark: str = field(default_factory=lambda: f"karbor-doctor-{uuid.uuid4().hex[:12]}")

    # What the examination finds out as it goes on.
    user: Account = field(init=False)
    cleanup: Cleanup = field(init=False)
    service: Account | None = None
    unfit: str = ""                         # why the service account cannot vouch
    trustee_unfit: str = ""
    registered_refused: str = ""            # what Keystone says of the registered credential
    served: Sequence[Served] = ()
    silent: frozenset[str] = frozenset()    # services that do not answer
    refusing: frozenset[str] = frozenset()  # services that refuse living tokens
    probe_ends: float | None = None
    why_unprobed: str = ""              # why there is no probe token
    void: str = ""                          # why it proves nothing any more
    probe_good: float | None = None         # how long after its end it was still known
    bounds: WindowBounds = field(default_factory=WindowBounds)
    trial: Trial | None = None
    image: str = ""                         # a throw-away one that is too large for everything
    no_image: str = ""
    backed_up: bool = False                 # the chain to the backups' store was tried
    caching: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.cleanup = Cleanup(self.probe.renew)

    @property
    def now(self) -> float:
        return self.clock() + self.user.ahead

    @property
    def seconds(self) -> float:
        """The length of the operation asked about."""
        return self.options.hours * 3600

    @property
    def long(self) -> str:
        return f"an operation of {span(self.seconds)}"

    @property
    def outlasts_token(self) -> bool:
        """Whether the operation asked about needs the token after its end."""
        return self.now + self.seconds > self.user.expires_at

    def add(self, check: str, subject: str, verdict: Verdict, seen: str,  # noqa: PLR0917
            means: str = "", fix: str = "") -> None:
        """Add a finding, by the fields of a Finding in their order."""
        with self._lock:
            self.findings.append(Finding(check, subject, verdict, seen, means, fix))

    @property
    def window_is_short(self) -> bool:
        """Whether the window was seen to be shorter than Karbor was told."""
        return is_short(self.configured.window, self.bounds)

    @property
    def window(self) -> float:
        """The window in seconds: what was configured, unless it was seen to be shorter: then what
        was seen to last."""
        return usable(self.configured.window, self.bounds)

    @property
    def window_is_proved(self) -> bool:
        return self.window_is_short or self.bounds.at_least + INEXACT >= self.configured.window

    def beyond_token(self, what: str) -> tuple[Verdict, str]:
        """Return the verdict on something that fails only after the token's end."""
        if self.outlasts_token:
            return Verdict.BROKEN, f"{self.long} {what} after {at(self.user.expires_at)}"
        return Verdict.WARNING, f"nothing for {self.long}; a longer one {what}"

    def until(self, moment: float) -> None:
        """Wait for a moment of Keystone's clock."""
        left = moment - self.now
        if left > 0:
            self.sleep(left)

    def ask(self, question: str, speaker: Speaker) -> Answer:
        """Return a GET, asked again where the service could not answer just now."""
        return self._patiently(lambda: self.probe.ask(question, speaker))

    def validate(self, *, allow_expired: bool) -> Answer:
        """Return what Keystone says of the probe token; it may be asked again."""
        return self._patiently(lambda: self.probe.validate(allow_expired=allow_expired))

    def _patiently(self, once: Callable[[], Answer]) -> Answer:
        answer = once()
        for _ in range(_TRIES - 1):
            if not answer.unsure:
                break
            self.sleep(1.0)
            answer = once()
        return answer

    def judged_by_probe_token(self) -> bool:
        """Return whether what was refused to the probe token just now was refused for its being
        expired: only if Keystone still knows it."""
        answer = self.validate(allow_expired=True)
        if answer.unsure:
            self.void = f"Keystone could not answer: {failure(answer)}"
        elif not answer.good and not self.void:
            self.void = ("Keystone's window for the probe was over before it could be shown: "
                         f"{answer.text}")
        return answer.good


def failure(answer: Answer) -> str:
    """Return `401: The request you have made …`, or why there was no answer."""
    return f"{answer.status}: {answer.text}" if answer.status else answer.text
