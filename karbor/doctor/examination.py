"""Examination: all checks, in an order in which each finds what it needs.

What asks with living tokens comes first, while the canary is still alive; then what needs it to be
over, the quick things first, because the window may be short; then waiting; and last its being
revoked.
"""

from __future__ import annotations

import random
from functools import partial

from karbor.doctor.accounts import look_at_accounts
from karbor.doctor.backup import DeepProbe
from karbor.doctor.context import DiagnosticContext, failure
from karbor.doctor.deadlines import countdown
from karbor.doctor.expired_window import check_older_probe_tokens, follow_probe_token, judge_window
from karbor.doctor.finding import Verdict
from karbor.doctor.network import look_at_network
from karbor.doctor.probe_token import (
    drop_probe_token,
    get_probe_token,
    revocable,
    wait_for_probe_token,
)
from karbor.doctor.report import Report
from karbor.doctor.service_chains import look_at_chains, prepare, tell_unseen
from karbor.doctor.services import look_at_caches, look_at_expired_tokens, look_at_living_tokens

TRUST_LIFE = 600.0      # seconds after which a trust that was left behind ends by itself


def examine(patient: DiagnosticContext) -> Report:
    """Raises CredentialError when the user cannot log in, or Keystone does not answer. What was
    made is removed at the end, however that comes; `patient.cleanup.left` has what was not."""
    try:
        patient.user = patient.probe.user()
        begun = patient.now
        look_at_accounts(patient)
        look_at_network(patient)
        look_at_living_tokens(patient)
        _try_trust(patient)
        _try_registered(patient)
        prepare(patient)
        deep = DeepProbe(patient) if patient.wishes.deep else None
        if deep:
            deep.prepare()
        get_probe_token(patient)
        if patient.canary_ends is not None:
            wait_for_probe_token(patient)
            if patient.canary_good is not None:
                look_at_expired_tokens(patient)
        _tell_unasked(patient)
        look_at_chains(patient)
        if deep:
            deep.try_it()
        follow_probe_token(patient)
        if revocable(patient) and not patient.void and patient.canary_good is not None:
            look_at_caches(patient, lambda: drop_probe_token(patient))
        check_older_probe_tokens(patient)
        judge_window(patient)
        tell_unseen(patient)
        found = countdown(patient)
    finally:
        patient.told("removing what was made")
        patient.cleanup.remove_all()
    return Report(patient, found, begun)


def _try_trust(patient: DiagnosticContext) -> None:
    if not patient.wishes.active or patient.trustee_unfit or patient.unfit:
        return
    roles = sorted(patient.configured.trust_roles & set(patient.user.caller.roles))
    question = next((one.question for one in patient.served if one.type not in patient.silent
                     and one.type not in patient.refusing), "")
    if not roles or not question:
        return
    for _ in range(3):
        # Keystone refuses a second trust between the same users that ends in the same second.
        ends = patient.now + TRUST_LIFE + random.randrange(int(TRUST_LIFE))     # noqa: S311
        patient.cleanup.add(f"trust {patient.mark}", partial(patient.probe.drop_trust, ends))
        patient.trial = patient.probe.try_trust(roles, ends, question)
        failed = patient.trial.failed
        if failed is None or (failed[0] == "make" and failed[1].status):
            patient.cleanup.forget(f"trust {patient.mark}")
        if failed is None or failed[0] != "make" or failed[1].status != 409:
            break
    if patient.trial and patient.trial.failed and patient.trial.failed[0] == "use":
        patient.add("trust", "use", Verdict.WARNING,
                    f"a service refused its token: {failure(patient.trial.failed[1])}",
                    "operations cannot change to a trust", "see that service's log")


def _try_registered(patient: DiagnosticContext) -> None:
    """What was removed in Keystone stands in Karbor's database all the same: one login tells."""
    configured = patient.configured
    if not configured.registered_id:
        return
    answer = patient.probe.try_registered(configured.registered_id, configured.registered_sealed)
    if answer.good:
        patient.add("application credential", "registered", Verdict.OK,
                    "the one that the user has registered lets Karbor log in")
    elif answer.unsure:
        patient.add("application credential", "registered", Verdict.UNPROVEN, answer.text,
                    "whether the registered one is good is not known", "run karbor doctor again")
    else:
        patient.registered_refused = answer.text
        patient.add("application credential", "registered", Verdict.WARNING, answer.text,
                    "operations cannot change to it, and schedules cannot run on it",
                    "register another one: karbor credential register")


def _tell_unasked(patient: DiagnosticContext) -> None:
    """Where no canary was shown to the services, that is said of each."""
    if patient.canary_good is not None:
        return
    why = patient.void or patient.no_canary
    for one in patient.served:
        if one.type not in patient.silent | patient.refusing and not patient.unfit:
            patient.add("service", one.type, Verdict.UNPROVEN,
                        "takes living tokens; an expired one was not shown to it",
                        f"not known beyond the token's end: {why}", "karbor doctor --active")
