"""Examination: all checks, in an order in which each finds what it needs.

What asks with living tokens comes first, while the probe token is still alive; then what needs it
to be over, the quick things first, because the window may be short; then waiting; and last its
being revoked.
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


def examine(context: DiagnosticContext) -> Report:
    """Examine the cloud and the login, and report. What was made is removed at the end, however
    that comes; `context.cleanup.left` has what could not be removed. Raises CredentialError when
    the user cannot log in, or Keystone does not answer."""
    try:
        context.user = context.probe.user()
        begun = context.now
        look_at_accounts(context)
        look_at_network(context)
        look_at_living_tokens(context)
        _try_trust(context)
        _try_registered(context)
        prepare(context)
        deep = DeepProbe(context) if context.options.deep else None
        if deep:
            deep.prepare()
        get_probe_token(context)
        if context.probe_ends is not None:
            wait_for_probe_token(context)
            if context.probe_good is not None:
                look_at_expired_tokens(context)
        _tell_unasked(context)
        look_at_chains(context)
        if deep:
            deep.try_it()
        follow_probe_token(context)
        if revocable(context) and not context.void and context.probe_good is not None:
            look_at_caches(context, lambda: drop_probe_token(context))
        check_older_probe_tokens(context)
        judge_window(context)
        tell_unseen(context)
        found = countdown(context)
    finally:
        context.told("removing what was made")
        context.cleanup.remove_all()
    return Report(context, found, begun)


def _try_trust(context: DiagnosticContext) -> None:
    if not context.options.active or context.trustee_unfit or context.unfit:
        return
    roles = sorted(context.configured.trust_roles & set(context.user.caller.roles))
    question = next(
        (
            served.question
            for served in context.served
            if served.type not in context.silent and served.type not in context.refusing
        ),
        "",
    )
    if not roles or not question:
        return
    for _ in range(3):
        # Keystone refuses a second trust between the same users that ends in the same second.
        ends = context.now + TRUST_LIFE + random.randrange(int(TRUST_LIFE))     # noqa: S311
        context.cleanup.add(f"trust {context.mark}", partial(context.probe.drop_trust, ends))
        context.trial = context.probe.try_trust(roles, ends, question)
        failed = context.trial.failed
        if failed is None or (failed[0] == "make" and failed[1].status):
            context.cleanup.forget(f"trust {context.mark}")
        if failed is None or failed[0] != "make" or failed[1].status != 409:
            break
    if context.trial and context.trial.failed and context.trial.failed[0] == "use":
        context.add("trust", "use", Verdict.WARNING,
                    f"a service refused its token: {failure(context.trial.failed[1])}",
                    "operations cannot change to a trust", "see that service's log")


def _try_registered(context: DiagnosticContext) -> None:
    """Log in once with the registered application credential: what was removed in Keystone still
    stands in Karbor's database."""
    configured = context.configured
    if not configured.registered_id:
        return
    answer = context.probe.try_registered(configured.registered_id, configured.registered_sealed)
    if answer.good:
        context.add("application credential", "registered", Verdict.OK,
                    "the one that the user has registered lets Karbor log in")
    elif answer.unsure:
        context.add("application credential", "registered", Verdict.UNPROVEN, answer.text,
                    "whether the registered one is good is not known", "run karbor doctor again")
    else:
        context.registered_refused = answer.text
        context.add("application credential", "registered", Verdict.WARNING, answer.text,
                    "operations cannot change to it, and schedules cannot run on it",
                    "register another one: karbor credential register")


def _tell_unasked(context: DiagnosticContext) -> None:
    """Say of each service that no expired token was shown to it, where that is so."""
    if context.probe_good is not None:
        return
    why = context.void or context.why_unprobed
    for served in context.served:
        if served.type not in context.silent | context.refusing and not context.unfit:
            context.add("service", served.type, Verdict.UNPROVEN,
                        "takes living tokens; an expired one was not shown to it",
                        f"not known beyond the token's end: {why}", "karbor doctor --active")
