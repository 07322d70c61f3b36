"""The window: how long after its end a token is still known to this Keystone, really.

What an operator configured in Keystone cannot be asked for, and keys that are rotated away cut it
short. It is measured: by this run's probe token for as long as the person has patience, and by the
tokens that earlier runs laid aside.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import replace

from karbor.doctor.context import DiagnosticContext
from karbor.doctor.finding import Verdict
from karbor.doctor.formatting import at, span
from karbor.domain.errors import CredentialError
from karbor.domain.probe_token import INEXACT, ProbeToken, WindowBounds, bounds
from karbor.plugin.token_probe import Answer

CHECK = "window"
_KEPT = 48      # probe tokens in one window: more would tell no more
_LONGEST = 14 * 86400.0     # what is dead longer than that will not come back
_RAISED = 3     # of the dead, the youngest: they come back first when a window was made longer
_PATIENT = 600.0            # seconds that a person may wait for
_KEY_GONE = "key"
_OVER = "over"


def follow_probe_token(context: DiagnosticContext) -> None:
    """Look at this run's probe token until it is forgotten or the patience is over, and note what
    was seen for later runs."""
    if context.probe_ends is None or context.probe_good is None:
        return
    until = context.probe_ends + context.options.patience
    seen = ProbeToken(uuid.uuid4().hex, context.probe.auth_url, context.probe_ends)
    if until > context.now:
        context.told(f"waiting up to {until - context.now:.0f} s for the end of the window")
    while True:
        seen = _looked_at(seen, context.probe.validate(allow_expired=True), context)
        if seen.good_at is not None and seen.bad_at is None:
            context.probe_good = max(context.probe_good, seen.good_at - seen.ends)
        age = context.now - context.probe_ends
        if seen.bad_at is not None or age >= context.options.patience:
            break
        context.sleep(max(0.0, min(max(1.0, age / 50), until - context.now)))
    if seen.good_at is None:
        seen = replace(seen, good_at=seen.ends + context.probe_good)
    known = bounds(context.probe_tokens.of(context.probe.auth_url))
    if seen.bad_at is not None or context.probe_good > known.at_least:     # else it is no news
        context.probe_tokens.keep(seen)
    _tell_lost_key(context, seen)


def check_older_probe_tokens(context: DiagnosticContext) -> None:
    """Look at the tokens that earlier runs laid aside, also at those that were unknown already: a
    window can be made longer. Lay one aside for the next run."""
    if context.service is None or context.unfit:
        return
    known = context.probe_tokens.of(context.probe.auth_url)
    over = [
        probe_token
        for probe_token in known
        if probe_token.sealed and probe_token.ends < context.now < probe_token.ends + _LONGEST
    ]
    for probe_token in [probe_token for probe_token in over if _dead(probe_token)][-_RAISED:]:
        _look_at_older(context, probe_token)
    for probe_token in over:    # what is known of the oldest is known of the younger ones
        if not _dead(probe_token) and _look_at_older(context, probe_token):
            break
    if context.options.active:
        _lay_aside(context, known)


def judge_window(context: DiagnosticContext) -> None:
    """Compare what is now known of the window with what is configured."""
    context.bounds = known = bounds(context.probe_tokens.of(context.probe.auth_url))
    configured = context.configured.window
    if context.unfit or context.service is None:
        return
    if context.window_is_short:
        assert known.at_most is not None    # noqa: S101 - else it would not be known
        ends = context.user.expires_at + known.at_least
        fails = context.now + context.seconds > ends
        context.add(
            CHECK, "", Verdict.BROKEN if fails else Verdict.WARNING,
            f"at least {span(known.at_least)} and at most {span(known.at_most)}; configured in "
            f"Karbor are {span(configured)}",
            f"with the token alone {context.long} fails at {at(ends)} or soon after; with a trust "
            "each single backup, restore or image fails that takes longer than "
            f"{span(context.user.life + known.at_least)}" if fails else
            f"nothing for {context.long}; longer ones end earlier than Karbor was told",
            _remedy(known, configured))
        return
    needed = context.now + context.seconds - context.user.expires_at
    if known.at_least + INEXACT >= min(configured, max(needed, INEXACT)):
        context.add(CHECK, "", Verdict.OK, f"at least {span(known.at_least)} were seen; configured "
                    f"are {span(configured)}")
        return
    context.add(
        CHECK, "", Verdict.UNPROVEN,
        f"at least {span(known.at_least)} were seen; configured are {span(configured)}",
        f"beyond {span(known.at_least)} after a token's end nothing is known",
        "run karbor doctor --active again, at any time within days: each run lays a token aside "
        "that the next ones look at; --patience SECONDS waits for a short window's end")


def _remedy(known: WindowBounds, configured: float) -> str:
    again = ""
    if known.at_most is not None and known.at_most < _PATIENT:
        again = f". After a change look again with --patience {known.at_most + 10:.0f}"
    return (f"[token] allow_expired_window = {configured:.0f} in Keystone (and enough fernet "
            f"keys); else [credentials] allow_expired_window = {math.floor(known.at_least)} in "
            f"karbor.conf{again}")


def _dead(probe_token: ProbeToken) -> bool:
    return probe_token.bad_at is not None and probe_token.bad_at > (probe_token.good_at or 0.0)


def _look_at_older(context: DiagnosticContext, probe_token: ProbeToken) -> bool:
    """Return whether it is still known."""
    try:
        answer = context.probe.validate_sealed(probe_token.sealed)
    except CredentialError as error:
        if error.transient:
            raise
        # It was sealed with keys that are gone.
        context.probe_tokens.keep(replace(probe_token, sealed=""))
        return False
    seen = _looked_at(probe_token, answer, context)
    context.probe_tokens.keep(seen)
    _tell_lost_key(context, seen)
    return answer.good


def _lay_aside(context: DiagnosticContext, known: list[ProbeToken]) -> None:
    newest = max(
        (probe_token.ends for probe_token in known if probe_token.sealed), default=float("-inf")
    )
    try:
        sealed, ends = context.probe.lay_aside()
    except CredentialError as error:
        context.add(CHECK, "token for later", Verdict.WARNING, error.message,
                    "the window cannot be measured over days", error.remedy)
        return
    if ends - newest >= min(3600.0, context.configured.window / _KEPT):
        context.probe_tokens.keep(
            ProbeToken(uuid.uuid4().hex, context.probe.auth_url, ends, sealed))


def _looked_at(probe_token: ProbeToken, answer: Answer, context: DiagnosticContext) -> ProbeToken:
    now = context.now
    if answer.good:
        return replace(probe_token, good_at=now)
    if answer.status in (401, 404):
        gone = "fernet" in answer.text.lower() or answer.status == 401
        first = probe_token.bad_at if probe_token.bad_at is not None and _dead(probe_token) else now
        return replace(probe_token, bad_at=first, cause=_KEY_GONE if gone else _OVER)
    return probe_token      # Keystone could not answer: nothing is known


def _tell_lost_key(context: DiagnosticContext, seen: ProbeToken) -> None:
    if seen.cause != _KEY_GONE or seen.bad_at is None or any(
            finding.check == "fernet keys" for finding in context.findings):
        return
    life, window = context.user.life, context.configured.window
    age = seen.bad_at - seen.ends
    if age >= window:
        return      # when the window is over its key may go
    daily = max_active_keys(life, window, 86400)
    hourly = max_active_keys(life, window, 3600)
    verdict, means = context.beyond_token(
        "fails as soon as its token's key is rotated away, whatever the window is")
    context.add(
        "fernet keys", "Keystone", verdict,
        f"a token could not be read any more {span(max(0.0, age))} after its end: its key was "
        "rotated away", means,
        "[fernet_tokens] max_active_keys = ceil((token life + window) / time between rotations) "
        f"+ 2: {daily} with daily rotation, {hourly} with hourly. (Keystone's own cache hides a "
        "lost key for up to [token] cache_time.)")


def max_active_keys(life: float, window: float, rotation: float) -> int:
    """Return how many Fernet keys Keystone must keep so that a token can be read until its window
    is over. All in seconds."""
    return math.ceil((life + window) / rotation) + 2


