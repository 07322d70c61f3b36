"""The window: how long after its end a token is still known to this Keystone, really.

What an operator configured in Keystone cannot be asked for, and keys that are rotated away cut it
short. It is measured: by this run's canary for as long as the person has patience, and by the
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
_KEPT = 48      # canaries in one window: more would tell no more
_LONGEST = 14 * 86400.0     # what is dead longer than that will not come back
_RAISED = 3     # of the dead, the youngest: they come back first when a window was made longer
_PATIENT = 600.0            # seconds that a person may wait for
_KEY_GONE = "key"
_OVER = "over"


def follow_probe_token(patient: DiagnosticContext) -> None:
    """Look at this run's canary until it is forgotten or the patience is over, and note what was
    seen for later runs."""
    if patient.canary_ends is None or patient.canary_good is None:
        return
    until = patient.canary_ends + patient.wishes.patience
    seen = ProbeToken(uuid.uuid4().hex, patient.probe.auth_url, patient.canary_ends)
    if until > patient.now:
        patient.told(f"waiting up to {until - patient.now:.0f} s for the end of the window")
    while True:
        seen = _looked_at(seen, patient.probe.validate(allow_expired=True), patient)
        if seen.good_at is not None and seen.bad_at is None:
            patient.canary_good = max(patient.canary_good, seen.good_at - seen.ends)
        age = patient.now - patient.canary_ends
        if seen.bad_at is not None or age >= patient.wishes.patience:
            break
        patient.sleep(max(0.0, min(max(1.0, age / 50), until - patient.now)))
    if seen.good_at is None:
        seen = replace(seen, good_at=seen.ends + patient.canary_good)
    known = bounds(patient.nest.of(patient.probe.auth_url))
    if seen.bad_at is not None or patient.canary_good > known.at_least:     # else it is no news
        patient.nest.keep(seen)
    _tell_lost_key(patient, seen)


def check_older_probe_tokens(patient: DiagnosticContext) -> None:
    """Those that earlier runs laid aside, also when they were unknown already: a window can be
    made longer. And lay one aside for the next."""
    if patient.service is None or patient.unfit:
        return
    known = patient.nest.of(patient.probe.auth_url)
    over = [one for one in known if one.sealed and one.ends < patient.now < one.ends + _LONGEST]
    for one in [one for one in over if _dead(one)][-_RAISED:]:
        _look_at_older(patient, one)
    for one in over:    # what is known of the oldest is known of the younger ones
        if not _dead(one) and _look_at_older(patient, one):
            break
    if patient.wishes.active:
        _lay_aside(patient, known)


def judge_window(patient: DiagnosticContext) -> None:
    """What is known of it now, against what is configured."""
    patient.bounds = known = bounds(patient.nest.of(patient.probe.auth_url))
    configured = patient.configured.window
    if patient.unfit or patient.service is None:
        return
    if patient.window_is_short:
        assert known.at_most is not None    # noqa: S101 - else it would not be known
        ends = patient.user.expires_at + known.at_least
        fails = patient.now + patient.seconds > ends
        patient.add(
            CHECK, "", Verdict.BROKEN if fails else Verdict.WARNING,
            f"at least {span(known.at_least)} and at most {span(known.at_most)}; configured in "
            f"Karbor are {span(configured)}",
            f"with the token alone {patient.long} fails at {at(ends)} or soon after; with a trust "
            "each single backup, restore or image fails that takes longer than "
            f"{span(patient.user.life + known.at_least)}" if fails else
            f"nothing for {patient.long}; longer ones end earlier than Karbor was told",
            _remedy(known, configured))
        return
    needed = patient.now + patient.seconds - patient.user.expires_at
    if known.at_least + INEXACT >= min(configured, max(needed, INEXACT)):
        patient.add(CHECK, "", Verdict.OK, f"at least {span(known.at_least)} were seen; configured "
                    f"are {span(configured)}")
        return
    patient.add(
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


def _dead(one: ProbeToken) -> bool:
    return one.bad_at is not None and one.bad_at > (one.good_at or 0.0)


def _look_at_older(patient: DiagnosticContext, one: ProbeToken) -> bool:
    """Whether it is still known."""
    try:
        answer = patient.probe.validate_sealed(one.sealed)
    except CredentialError as error:
        if error.transient:
            raise
        patient.nest.keep(replace(one, sealed=""))      # sealed with keys that are gone
        return False
    seen = _looked_at(one, answer, patient)
    patient.nest.keep(seen)
    _tell_lost_key(patient, seen)
    return answer.good


def _lay_aside(patient: DiagnosticContext, known: list[ProbeToken]) -> None:
    newest = max((one.ends for one in known if one.sealed), default=float("-inf"))
    try:
        sealed, ends = patient.probe.lay_aside()
    except CredentialError as error:
        patient.add(CHECK, "token for later", Verdict.WARNING, error.message,
                    "the window cannot be measured over days", error.remedy)
        return
    if ends - newest >= min(3600.0, patient.configured.window / _KEPT):
        patient.nest.keep(ProbeToken(uuid.uuid4().hex, patient.probe.auth_url, ends, sealed))


def _looked_at(one: ProbeToken, answer: Answer, patient: DiagnosticContext) -> ProbeToken:
    now = patient.now
    if answer.good:
        return replace(one, good_at=now)
    if answer.status in (401, 404):
        gone = "fernet" in answer.text.lower() or answer.status == 401
        first = one.bad_at if one.bad_at is not None and _dead(one) else now
        return replace(one, bad_at=first, cause=_KEY_GONE if gone else _OVER)
    return one      # Keystone could not answer: nothing is known


def _tell_lost_key(patient: DiagnosticContext, seen: ProbeToken) -> None:
    if seen.cause != _KEY_GONE or seen.bad_at is None or any(
            one.check == "fernet keys" for one in patient.findings):
        return
    life, window = patient.user.life, patient.configured.window
    age = seen.bad_at - seen.ends
    if age >= window:
        return      # when the window is over its key may go
    daily = max_active_keys(life, window, 86400)
    hourly = max_active_keys(life, window, 3600)
    verdict, means = patient.beyond_token(
        "fails as soon as its token's key is rotated away, whatever the window is")
    patient.add(
        "fernet keys", "Keystone", verdict,
        f"a token could not be read any more {span(max(0.0, age))} after its end: its key was "
        "rotated away", means,
        "[fernet_tokens] max_active_keys = ceil((token life + window) / time between rotations) "
        f"+ 2: {daily} with daily rotation, {hourly} with hourly. (Keystone's own cache hides a "
        "lost key for up to [token] cache_time.)")


def max_active_keys(life: float, window: float, rotation: float) -> int:
    """Fernet keys that Keystone must keep so that a token can be read until its window is over.
    All in seconds."""
    return math.ceil((life + window) / rotation) + 2


