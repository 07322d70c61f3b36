"""Services: what each says to living and to expired tokens, with Karbor's word beside them and
without."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from karbor.doctor.context import DiagnosticContext, failure
from karbor.doctor.finding import Verdict
from karbor.doctor.formatting import at, span
from karbor.plugin.token_probe import Answer, Served, Speaker

CHECK = "service"
_ASKED_AGAIN = 4        # an API's workers may each have a cache of their own


def look_at_living_tokens(context: DiagnosticContext) -> None:
    """Find out, before the probe token is over, which services can be asked at all and which take
    the service token."""
    context.served = context.probe.services()
    _each(context, lambda served: _living(context, served))


def look_at_expired_tokens(context: DiagnosticContext) -> None:
    """Show the expired probe token to every service, right after its end."""
    asked = [served for served in context.served if _judgeable(context, served)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: _ask_expired(context, one), asked))
    if not context.judged_by_probe_token():
        for served in asked:
            context.add(CHECK, served.type, Verdict.UNPROVEN, context.void,
                        fix="[token] allow_expired_window in Keystone")
        return
    for served, (with_service_token, alone, doubtful) in zip(asked, answers, strict=True):
        _judge(context, served, with_service_token, alone, doubtful)


def look_at_caches(context: DiagnosticContext, revoke: Callable[[], bool]) -> None:
    """Show the probe token, revoke it and show it again: who takes it then has it in a cache."""
    asked = [served for served in context.served
             if _judgeable(context, served) and served.type not in context.refusing]

    def takes(served: Served) -> bool:
        return _recognized(context.ask(served.question, Speaker.PROBE_AND_SERVICE))

    def keeps(served: Served) -> bool:
        return any(takes(served) for _ in range(_ASKED_AGAIN))
    with ThreadPoolExecutor(8) as pool:
        shown = [
            served for served, taken in zip(asked, pool.map(takes, asked), strict=True) if taken
        ]
        if not revoke() or context.validate(allow_expired=True).good:
            context.add("token caches", "", Verdict.UNPROVEN, "the probe's token was not revoked")
            return
        context.caching = {served.type: kept for served, kept in zip(
            shown, pool.map(keeps, shown), strict=True)}
    keeping = sorted(type for type, kept in context.caching.items() if kept)
    if context.caching:
        context.add(
            "token caches", "", Verdict.OK,
            (f"a revoked token is still taken by {', '.join(keeping)}" if keeping else
             "no service was seen to keep a token that it has validated"),
            f"a service may take a token that it has seen for {span(context.options.cache)} more "
            "(token_cache_time) after it was revoked or its window was over" if keeping else "")


def _living(context: DiagnosticContext, served: Served) -> None:
    if served.type in context.silent:
        context.add(CHECK, served.type, Verdict.UNPROVEN, "it does not answer")
        return
    nobody = context.ask(served.question, Speaker.NOBODY)
    user = context.ask(served.question, Speaker.USER)
    if nobody.status != 401:
        context.silent |= {served.type}
        context.add(
            CHECK, served.type, Verdict.UNPROVEN,
            f"no cheap request is known that needs a token here: {served.question} answers "
            f"{failure(nobody) or nobody.status} without one",
            "whether it takes expired tokens with a service token is not known",
            "[keystone_authtoken] service_token_roles = service in its configuration")
        return
    if not _recognized(user):
        context.silent |= {served.type}
        context.add(CHECK, served.type, Verdict.BROKEN,
                    f"refuses the user's living token: {failure(user)}",
                    f"{context.long} fails when it needs {served.type}",
                    "see the service's log: it may not reach Keystone, or its own account in "
                    "[keystone_authtoken] is not good")
        return
    if context.service is None or context.unfit:
        context.add(CHECK, served.type, Verdict.UNPROVEN,
                    f"takes the user's token; more cannot be asked: {context.unfit}")
        return
    with_service_token = context.ask(served.question, Speaker.USER_AND_SERVICE)
    if not _recognized(with_service_token):
        context.refusing |= {served.type}
        context.add(
            CHECK, served.type, Verdict.BROKEN,
            f"refuses the user's living token when Karbor's service token is beside it: "
            f"{failure(with_service_token)}",
            f"every operation fails at its first request to {served.type}",
            f"[keystone_authtoken] service_token_roles in the configuration of {served.name} must "
            f"have {context.configured.role} (and service_token_roles_required = true is right)")


def _ask_expired(
    context: DiagnosticContext, served: Served
) -> tuple[Answer, Answer, Answer | None]:
    def ask(speaker: Speaker) -> Answer:
        return context.ask(served.question, speaker)

    with_service_token = ask(Speaker.PROBE_AND_SERVICE)
    if with_service_token.status == 401:
        # A service whose own token has just become void (a key was rotated, Keystone was away for
        # a moment) validates once more, and forgets that expired tokens are allowed: the next
        # request tells.
        with_service_token = ask(Speaker.PROBE_AND_SERVICE)
    # A member's token for a service token proves something only if the member is no service.
    doubtful = None if context.configured.role in context.user.caller.roles else ask(
        Speaker.PROBE_AND_DOUBTFUL)
    return with_service_token, ask(Speaker.PROBE), doubtful


def _judge(context: DiagnosticContext, served: Served, with_service_token: Answer, alone: Answer,
           doubtful: Answer | None) -> None:
    wrong = [words for words, answer in (
        ("an expired token alone", alone),
        ("an expired token with a token beside it that lacks the role", doubtful))
        if answer is not None and answer.status != 401]
    if wrong:
        context.add(
            CHECK, f"{served.type} (refusal)", Verdict.WARNING,
            f"does not refuse {' and '.join(wrong)} with 401",
            "tokens that are over open it to anybody: a hole in that service",
            f"see the authtoken filter of {served.name}, and its service_token_roles")
    if _recognized(with_service_token):
        context.add(CHECK, served.type, Verdict.OK,
                    "takes an expired token with Karbor's service token"
                    + ("" if wrong else ", and refuses it without"))
    elif served.type in context.refusing:
        pass        # it was told already why
    elif with_service_token.status == 401:
        context.refusing |= {served.type}
        verdict, means = context.beyond_token(f"fails at its first request to {served.type}")
        context.add(
            CHECK, served.type, verdict,
            "refuses an expired token in spite of Karbor's service token: 401", means,
            _remedy(served, context.configured.role))
    else:
        context.refusing |= {served.type}
        context.add(CHECK, served.type, Verdict.UNPROVEN,
                    f"gave no clear answer to an expired token: {failure(with_service_token)}",
                    f"it may fail after {at(context.user.expires_at)}",
                    "ask again; see the service's log")


def _remedy(served: Served, role: str) -> str:
    common = (
        f"[keystone_authtoken] service_token_roles in the configuration of {served.name} must "
        f"have {role}; keystonemiddleware of 10.2 or later"
    )
    if served.type == "object-store":
        return (f"in the proxy's filter:authtoken: service_token_roles must have {role}; with Ceph "
                "RGW: rgw_keystone_service_token_enabled = true and "
                f"rgw_keystone_service_token_accepted_roles = {role}")
    return common


def _judgeable(context: DiagnosticContext, served: Served) -> bool:
    return served.type not in context.silent


def _recognized(answer: Answer) -> bool:
    """Return whether who asked was recognized, whatever the answer is: only 401 says no."""
    return 200 <= answer.status < 500 and answer.status != 401


def _each(context: DiagnosticContext, look: Callable[[Served], None]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, context.served))
