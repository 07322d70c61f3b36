"""The countdown: which credentials this login can use, until when each, and what that rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from karbor.doctor.context import DiagnosticContext, failure
from karbor.doctor.finding import Verdict
from karbor.doctor.formatting import at, span
from karbor.domain.credential_chain import (
    Choice,
    CredentialKind,
    CredentialOption,
    CredentialPolicy,
    Strategy,
    choose,
    credential_options,
    margin,
)
from karbor.domain.errors import NoLastingCredential

CHECK = "countdown"


@dataclass(frozen=True)
class Prediction:
    """`what` works with `subject` at least until a moment and at most until another (seconds since
    the epoch, by Keystone's clock). `proved` is False where that rests on a window which was
    configured, and not seen to last so long."""

    what: str
    subject: str
    at_least_until: float
    at_most_until: float
    because: str
    proved: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "subject": self.subject, "because": self.because,
                "at_least_until": self.at_least_until, "at_most_until": self.at_most_until,
                "proved": self.proved}


@dataclass(frozen=True)
class Countdown:
    """`until` is the end of what an operation started now should use, None: it has none; and
    `refused` says why it would not be accepted."""

    kinds: Sequence[CredentialOption]
    window: float
    until: float | None
    ends: float | None
    why: str
    refused: str
    predictions: Sequence[Prediction]


def countdown(context: DiagnosticContext) -> Countdown:
    """Return which credentials this login can use and until when; add the findings about them."""
    window = context.window
    configured = context.configured
    means = CredentialPolicy(
        service_user=context.service is not None and not context.unfit, window=window,
        longest=configured.longest, trust_roles=configured.trust_roles,
        trustee=context.trustee_unfit, registered_until=configured.registered_until)
    caller = replace(context.user.caller, expires_at=context.user.expires_at)
    options = [
        _own_login(context),
        *(
            _as_seen(context, credential_option)
            for credential_option in credential_options(caller, means, context.now)
        ),
    ]
    _tell_rungs(context, options)
    _tell_single_work(context, options)
    until, ends, why, refused = _choice(context, options)
    return Countdown(options, window, until, ends, why, refused, predictions(context))


def _own_login(context: DiagnosticContext) -> CredentialOption:
    used = not context.configured.service_user or context.configured.strategy is Strategy.OWN_LOGIN
    why = ("the user's own login renews itself" if context.user.renews
           else "the user's own login is a token, which ends")
    end = None if context.user.renews else context.user.expires_at
    if used:
        return CredentialOption(CredentialKind.OWN_LOGIN, True, why, until=end, ends=end)
    return CredentialOption(
        CredentialKind.OWN_LOGIN,
        False,
        "a [service_user] is configured, and takes its place",
        remedy="[credentials] strategy = own_login, for the command line",
    )


def _as_seen(context: DiagnosticContext, option: CredentialOption) -> CredentialOption:
    """Return what the credential chain promises, corrected by what was seen."""
    if context.configured.service_user and context.unfit:
        return replace(option, possible=False, why=context.unfit, until=None, ends=None,
                       remedy="see the finding about the service account")
    if (
        option.kind is CredentialKind.TRUST
        and context.trial
        and context.trial.failed
        and option.possible
    ):
        step, answer = context.trial.failed
        return replace(option, possible=False, until=None, ends=None,
                       why=f"tried, and could not {step}: {failure(answer)}",
                       remedy=_trust_remedy(step, answer.text))
    if (
        option.kind is CredentialKind.APPLICATION_CREDENTIAL
        and context.registered_refused
        and option.possible
    ):
        return replace(option, possible=False, until=None, ends=None,
                       why=f"the registered one was tried: {context.registered_refused}",
                       remedy="register another one: karbor credential register")
    return option


def _trust_remedy(step: str, text: str) -> str:
    lowered = text.lower()
    if "delegated" in lowered:
        return "register an application credential: karbor credential register"
    if "role" in lowered:
        return "the user needs that role itself; for users of another provider, authorization_ttl"
    if step == "log in":
        return "give [trustee] a user with a password"
    return "see whether Keystone's trust API is on: [trust] and its policies"


def _tell_rungs(context: DiagnosticContext, found: Sequence[CredentialOption]) -> None:
    trust = next(option for option in found if option.kind is CredentialKind.TRUST)
    if not trust.possible:
        context.add("trust", "", Verdict.WARNING if context.configured.service_user else
                    Verdict.UNPROVEN, f"not possible: {trust.why}",
                    "operations end with the window, or need a registered application credential",
                    trust.remedy)
    elif context.trial is not None:
        context.add("trust", "", Verdict.OK, "possible: one was made, used and removed")
    else:
        context.add("trust", "", Verdict.UNPROVEN, "should be possible; none was tried",
                    fix="karbor doctor --active")


def _tell_single_work(context: DiagnosticContext, found: Sequence[CredentialOption]) -> None:
    """Tell how long a single piece of work may take, however long the operation may: a backup goes
    on with the token it was asked with."""
    if not context.configured.service_user or context.unfit:
        return
    usable_for = context.window - margin(context.window)
    renews = any(option.possible for option in found if option.kind in (
        CredentialKind.TRUST, CredentialKind.APPLICATION_CREDENTIAL))
    most = max(0.0, usable_for + (context.user.life if renews else
                                  context.user.expires_at - context.now))
    seen = (f"a single backup, restore, image or upload may take {span(most)}: "
            + ("the life of a fresh token" if renews else "what is left of the user's token")
            + ", and Keystone's window, less a margin")
    if context.seconds <= most:
        context.add("single work", "", Verdict.OK, seen)
        return
    context.add("single work", "", Verdict.WARNING, seen,
                f"{context.long} may consist of shorter pieces; a single longer one fails",
                "[token] allow_expired_window in Keystone, with keys for it, and in karbor.conf")


def _choice(context: DiagnosticContext, found: Sequence[CredentialOption]
            ) -> tuple[float | None, float | None, str, str]:
    own = found[0]
    needed, now = context.seconds, context.now
    if own.possible:
        if own.until is not None and now + needed > own.until:
            return _refused(context, f"{own.why}, at {at(own.until)}",
                            "log in with a password, or configure a [service_user]", own.until)
        _tell(context, own.until, own.ends, own.why)
        return own.until, own.ends, own.why, ""
    try:
        chosen: Choice = choose(found[1:], context.configured.strategy, needed, now)
    except NoLastingCredential as error:
        best = max((option.until or 0.0 for option in found if option.possible), default=now)
        return _refused(context, error.message, error.remedy, best)
    last = chosen.kinds[-1]
    _tell(context, chosen.until, last.ends, chosen.why)
    return chosen.until, last.ends, chosen.why, ""


def _tell(context: DiagnosticContext, until: float | None, ends: float | None, why: str) -> None:
    end = "without an end" if until is None else f"until {at(until)}"
    if ends is not None and until is not None and ends > until:
        end += f" (the very end is {at(ends)})"
    context.add(CHECK, "", Verdict.OK,
                f"an operation started now with this login can run {end}, because {why}")


def _refused(context: DiagnosticContext, why: str, remedy: str, until: float
             ) -> tuple[float | None, float | None, str, str]:
    context.add(CHECK, "", Verdict.BROKEN,
                f"{context.long} started now would be refused: {why}",
                f"the longest that would be accepted is {span(max(0.0, until - context.now))}",
                remedy)
    return until, until, why, why


def predictions(context: DiagnosticContext) -> list[Prediction]:
    """Predict for each service until when it takes the login's present token. Empty without a
    service account that could vouch."""
    cache, ends = context.options.cache, context.user.expires_at
    found = [Prediction("the token alone", "keystone", ends, ends, "its end")]
    usable = [served.type for served in context.served if served.type not in context.silent]
    found += [Prediction("the token alone", type, ends, ends,
                         "its end: services look at it at every request") for type in usable]
    if context.service is None or context.unfit:
        return found
    first, last = ends + context.window, ends + context.window
    if context.window_is_short:
        last = ends + (context.bounds.at_most or 0.0)
    because = ("the window that was measured" if context.window_is_short else
               "[credentials] allow_expired_window")
    proved = context.window_is_proved
    found.append(Prediction("the token, looked at by the service account", "keystone",
                            first, last, because, proved))
    for type in usable:
        if type in context.refusing:
            continue
        found.append(Prediction(
            "the token with the service token", type, first, last + cache,
            because + (f"; and {span(cache)} more by the service's own cache, where it has seen "
                       "the token before" if cache else ""), proved))
    return found
