"""The probe token: one that is over by the time it is used, and what Keystone says of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from karbor.doctor.context import DiagnosticContext, failure
from karbor.doctor.finding import Verdict
from karbor.domain.errors import KarborError
from karbor.plugin.token_probe import Answer

CHECK = "expired tokens"
LIVES = (8.0, 20.0, 40.0)   # seconds: it must be logged in with before it ends; some are slow
_CAPPED = 60.0      # one that lives longer than asked for was not capped by Keystone
_NODES = 8          # validations over connections of their own, to meet every node of Keystone


def get_probe_token(context: DiagnosticContext) -> None:
    """Get a token of a throw-away application credential; one of the login itself where tokens are
    so short that it can be waited for; else none."""
    if context.unfit:
        context.why_unprobed = context.unfit
    elif not context.options.active:
        context.why_unprobed = "not asked: that needs a throw-away application credential"
    else:
        _make(context)
    short = context.user.expires_at - context.now <= context.options.patience
    if context.why_unprobed and short and context.service is not None:
        _take(context)
    if context.why_unprobed:
        context.add(CHECK, "", Verdict.UNPROVEN, context.why_unprobed,
                    "whether this cloud takes expired tokens with a service token is not known",
                    "karbor doctor --active, with a login by password")


def revocable(context: DiagnosticContext) -> bool:
    """Return whether it stands for an application credential, which can be removed."""
    return context.probe_ends is not None and context.cleanup.has(_name(context))


def drop_probe_token(context: DiagnosticContext) -> bool:
    """Revoke the probe token. Return whether that went well."""
    return context.cleanup.remove(_name(context)).good


def wait_for_probe_token(context: DiagnosticContext) -> None:
    """Wait until the probe token is over, and add what Keystone says of it then."""
    assert context.probe_ends is not None  # noqa: S101 - asked only when there is one
    left = context.probe_ends - context.now
    context.told(f"waiting {max(0.0, left):.0f} s for the probe's token to end")
    context.until(context.probe_ends + 1)
    alone = context.validate(allow_expired=False)
    if alone.good:
        context.void = "Keystone takes the probe's token for a living one after its end"
        context.add(CHECK, "end", Verdict.BROKEN, context.void,
                    "nothing that is said here of expired tokens is proved",
                    "synchronize the clocks of Keystone's hosts")
        return
    answer = context.validate(allow_expired=True)
    if answer.good:
        context.probe_good = context.now - context.probe_ends
        context.add(CHECK, "Keystone", Verdict.OK, "the service account can look at a token after "
                    "its end with allow_expired, and not without")
        _nodes(context)
        return
    context.void = ("Keystone does not tell the service account of an expired token: "
                    f"{failure(answer)}")
    if answer.unsure:
        context.add(CHECK, "Keystone", Verdict.UNPROVEN, context.void, fix="look again later")
        return
    if answer.status == 403:
        context.add(CHECK, "Keystone", Verdict.BROKEN, context.void,
                    "no operation can be resumed by another process, nor outlast its token",
                    "the policy identity:validate_token must allow the role "
                    f"{context.configured.role}")
        return
    verdict, means = context.beyond_token("fails")
    context.add(CHECK, "Keystone", verdict, context.void, means,
                "[token] allow_expired_window in Keystone: the length of operations")


def _take(context: DiagnosticContext) -> None:
    try:
        context.probe_ends = context.probe.take_probe_token()
        context.why_unprobed = ""
    except KarborError as error:
        context.why_unprobed += f"; and no second token to be had: {error.message}"


def _make(context: DiagnosticContext) -> None:
    name = _name(context)
    for life in LIVES:
        context.cleanup.add(name, lambda: context.probe.drop_probe_token(context.mark))
        begun = context.now
        try:
            context.probe_ends = context.probe.make_probe_token(context.mark, life)
            break
        except KarborError as error:
            context.why_unprobed = error.message
            context.cleanup.remove(name)
            if context.now < begun + life - 1:
                return      # refused for another reason than being too late
    if context.probe_ends is None:
        return
    context.why_unprobed = ""
    if context.probe_ends - context.now > _CAPPED:
        context.probe_ends = None
        context.why_unprobed = ("Keystone gives tokens a longer life than the application "
                                "credential they came from (CVE-2022-2447)")
        context.cleanup.remove(name)


def _nodes(context: DiagnosticContext) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers: Sequence[Answer] = list(pool.map(
            lambda _: context.probe.validate(allow_expired=True, fresh=True), range(_NODES)))
    answers = [answer for answer in answers if not answer.unsure]
    bad = [answer for answer in answers if not answer.good]
    if bad and len(bad) < len(answers):
        context.add(CHECK, "Keystone's nodes", Verdict.BROKEN,
                    f"{len(bad)} of {len(answers)} validations of one token failed: "
                    f"{failure(bad[0])}",
                    f"{context.long} fails now and then, at any time",
                    "the same fernet keys on every node of Keystone (synchronize them before "
                    "they are rotated), and one time")
    elif answers and not bad:
        context.add(CHECK, "Keystone's nodes", Verdict.OK,
                    f"{len(answers)} validations of one token agree")


def _name(context: DiagnosticContext) -> str:
    return f"application credential {context.mark}"

