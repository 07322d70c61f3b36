"""The canary: a token that is over by the time it is used, and what Keystone says of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from karbor.doctor.context import DiagnosticContext, failure
from karbor.doctor.finding import Verdict
from karbor.domain.errors import KarborError
from karbor.plugin.token_probe import Answer

CHECK = "expired tokens"
LIVES = (8.0, 20.0, 40.0)   # seconds: a canary must be logged in with before it ends; some are slow
_CAPPED = 60.0      # a canary that lives longer than asked for was not capped by Keystone
_NODES = 8          # validations over connections of their own, to meet every node of Keystone


def get_probe_token(patient: DiagnosticContext) -> None:
    """A token of a throw-away application credential; one of the login itself where tokens are so
    short that it can be waited for; else none."""
    if patient.unfit:
        patient.no_canary = patient.unfit
    elif not patient.wishes.active:
        patient.no_canary = "not asked: that needs a throw-away application credential"
    else:
        _make(patient)
    short = patient.user.expires_at - patient.now <= patient.wishes.patience
    if patient.no_canary and short and patient.service is not None:
        _take(patient)
    if patient.no_canary:
        patient.add(CHECK, "", Verdict.UNPROVEN, patient.no_canary,
                    "whether this cloud takes expired tokens with a service token is not known",
                    "karbor doctor --active, with a login by password")


def revocable(patient: DiagnosticContext) -> bool:
    """Whether it stands for an application credential, which can be removed."""
    return patient.canary_ends is not None and patient.cleanup.has(_name(patient))


def drop_probe_token(patient: DiagnosticContext) -> bool:
    """Revoke it; whether that went well."""
    return patient.cleanup.remove(_name(patient)).good


def wait_for_probe_token(patient: DiagnosticContext) -> None:
    """Until it is over. Adds what Keystone says of it then."""
    assert patient.canary_ends is not None  # noqa: S101 - asked only when there is one
    left = patient.canary_ends - patient.now
    patient.told(f"waiting {max(0.0, left):.0f} s for the probe's token to end")
    patient.until(patient.canary_ends + 1)
    alone = patient.validate(allow_expired=False)
    if alone.good:
        patient.void = "Keystone takes the probe's token for a living one after its end"
        patient.add(CHECK, "end", Verdict.BROKEN, patient.void,
                    "nothing that is said here of expired tokens is proved",
                    "synchronize the clocks of Keystone's hosts")
        return
    answer = patient.validate(allow_expired=True)
    if answer.good:
        patient.canary_good = patient.now - patient.canary_ends
        patient.add(CHECK, "Keystone", Verdict.OK, "the service account can look at a token after "
                    "its end with allow_expired, and not without")
        _nodes(patient)
        return
    patient.void = ("Keystone does not tell the service account of an expired token: "
                    f"{failure(answer)}")
    if answer.unsure:
        patient.add(CHECK, "Keystone", Verdict.UNPROVEN, patient.void, fix="look again later")
        return
    if answer.status == 403:
        patient.add(CHECK, "Keystone", Verdict.BROKEN, patient.void,
                    "no operation can be resumed by another process, nor outlast its token",
                    "the policy identity:validate_token must allow the role "
                    f"{patient.configured.role}")
        return
    verdict, means = patient.beyond_token("fails")
    patient.add(CHECK, "Keystone", verdict, patient.void, means,
                "[token] allow_expired_window in Keystone: the length of operations")


def _take(patient: DiagnosticContext) -> None:
    try:
        patient.canary_ends = patient.probe.take_canary()
        patient.no_canary = ""
    except KarborError as error:
        patient.no_canary += f"; and no second token to be had: {error.message}"


def _make(patient: DiagnosticContext) -> None:
    name = _name(patient)
    for life in LIVES:
        patient.cleanup.add(name, lambda: patient.probe.drop_canary(patient.mark))
        begun = patient.now
        try:
            patient.canary_ends = patient.probe.make_canary(patient.mark, life)
            break
        except KarborError as error:
            patient.no_canary = error.message
            patient.cleanup.remove(name)
            if patient.now < begun + life - 1:
                return      # refused for another reason than being too late
    if patient.canary_ends is None:
        return
    patient.no_canary = ""
    if patient.canary_ends - patient.now > _CAPPED:
        patient.canary_ends = None
        patient.no_canary = ("Keystone gives tokens a longer life than the application credential "
                             "they came from (CVE-2022-2447)")
        patient.cleanup.remove(name)


def _nodes(patient: DiagnosticContext) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers: Sequence[Answer] = list(pool.map(
            lambda _: patient.probe.validate(allow_expired=True, fresh=True), range(_NODES)))
    answers = [one for one in answers if not one.unsure]
    bad = [one for one in answers if not one.good]
    if bad and len(bad) < len(answers):
        patient.add(CHECK, "Keystone's nodes", Verdict.BROKEN,
                    f"{len(bad)} of {len(answers)} validations of one token failed: "
                    f"{failure(bad[0])}",
                    f"{patient.long} fails now and then, at any time",
                    "the same fernet keys on every node of Keystone (synchronize them before "
                    "they are rotated), and one time")
    elif answers and not bad:
        patient.add(CHECK, "Keystone's nodes", Verdict.OK,
                    f"{len(answers)} validations of one token agree")


def _name(patient: DiagnosticContext) -> str:
    return f"application credential {patient.mark}"

