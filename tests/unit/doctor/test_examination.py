"""The doctor on clouds that no real one can be made to be: nodes that disagree, policies, plain
networks, things that cannot be removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from karbor.doctor.context import Configured, DiagnosticContext, DoctorOptions
from karbor.doctor.examination import examine
from karbor.doctor.expired_window import max_active_keys
from karbor.doctor.finding import Finding, Verdict
from karbor.doctor.report import Report
from karbor.domain.caller import Caller
from karbor.domain.errors import CloudError
from karbor.domain.probe_token import ProbeToken
from karbor.plugin.token_probe import Account, Address, Answer, Served, Speaker, Trial

URL = "https://cinder.test/v3"
NOW = 1_800_000_000.0
GOOD, REFUSED = Answer(200), Answer(401, "authenticate")


@dataclass
class Cloud:
    """A well-run cloud of one service; a test changes a part of it. Implements TokenProbe."""

    auth_url: str = "https://keystone.test/v3"
    url: str = URL
    roles: tuple[str, ...] = ("service",)
    alive: Answer = GOOD
    expired: Answer = GOOD
    alone: Answer = REFUSED
    validations: Callable[[float], Answer] = field(default=lambda _age: GOOD)
    probe_token_life: float = 8.0
    sealed: Answer = GOOD
    why_unprobed: str = ""
    registered: Answer = GOOD
    removal: Answer = field(default_factory=lambda: Answer(204))
    ahead: float | None = None
    now: float = NOW
    ends: float = 0.0
    removed: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _account(self, name: str, roles: tuple[str, ...]) -> Account:
        return Account(Caller(f"id-{name}", "p", name, "p", roles, ("password",), NOW + 3600), NOW,
                       NOW + 3600, "fernet")

    def user(self) -> Account:
        return self._account("demo", ("member",))

    def service(self) -> Account:
        return self._account("karbor", self.roles)

    def trustee_unfit(self) -> str:
        return ""

    def addresses(self) -> list[Address]:
        return [Address("volumev3", "cinder", "one", "public", self.url, True)]

    def services(self) -> list[Served]:
        return [Served("volumev3", "cinder", self.url, f"{self.url}/volumes")]

    def ask(self, url: str, speaker: Speaker, method: str = "GET", *, json: Any = None,
            data: bytes | None = None, version: str = "") -> Answer:
        answers = {Speaker.NOBODY: Answer(401, ahead=self.ahead), Speaker.USER: self.alive,
                   Speaker.USER_AND_SERVICE: self.alive, Speaker.PROBE: self.alone,
                   Speaker.PROBE_AND_DOUBTFUL: self.alone, Speaker.PROBE_AND_SERVICE: self.expired}
        return answers[speaker]

    def renew(self) -> None:
        self.removed.append("tokens")

    def validate(self, *, allow_expired: bool, fresh: bool = False) -> Answer:
        return self.validations(self.now - self.ends) if allow_expired else Answer(404)

    def take_probe_token(self) -> float:
        raise AssertionError

    def make_probe_token(self, name: str, life: float) -> float:
        if self.why_unprobed:
            raise CloudError(self.why_unprobed)
        self.ends = self.now + self.probe_token_life
        return self.ends

    def drop_probe_token(self, name: str) -> Answer:
        self.removed.append("probe_token")
        return self.removal

    def lay_aside(self) -> tuple[str, float]:
        return "sealed", NOW + 3600

    def validate_sealed(self, sealed: str) -> Answer:
        return self.sealed

    def try_trust(self, roles: Sequence[str], expires_at: float, question: str) -> Trial:
        return Trial([("make", Answer(201)), ("log in", Answer(201)), ("use", GOOD),
                      ("remove", Answer(204))])

    def try_registered(self, id: str, sealed: str) -> Answer:
        return self.registered

    def drop_trust(self, expires_at: float) -> Answer:
        raise AssertionError


class ProbeTokens:
    def __init__(self, *probe_tokens: ProbeToken) -> None:
        self.kept = {one.id: one for one in probe_tokens}

    def of(self, auth_url: str) -> list[ProbeToken]:
        return list(self.kept.values())

    def keep(self, probe_token: ProbeToken) -> None:
        self.kept[probe_token.id] = probe_token


def examined(cloud: Cloud, *probe_tokens: ProbeToken, configured: Configured | None = None,
             **options: Any) -> Report:
    context = DiagnosticContext(
        cloud,
        DoctorOptions(active=True, **options),
        configured or Configured(),
        ProbeTokens(*probe_tokens),
        clock=cloud.clock,
        sleep=cloud.sleep,
    )
    return examine(context)


def told(report: Report, check: str, subject: str = "") -> Finding:
    found = [one for one in report.findings if (one.check, one.subject) == (check, subject)]
    assert len(found) == 1, report.findings
    return found[0]


def test_a_well_run_cloud() -> None:
    report = examined(Cloud())
    assert report.verdict is Verdict.OK
    assert {one.verdict for one in report.findings} == {Verdict.OK, Verdict.UNPROVEN}
    assert told(report, "service", "volumev3").verdict is Verdict.OK


def test_nodes_of_keystone_that_disagree() -> None:
    answers = iter([GOOD, GOOD, Answer(404, "Could not recognize Fernet token"), *[GOOD] * 99])
    found = told(examined(Cloud(validations=lambda _age: next(answers))),
                 "expired tokens", "Keystone's nodes")
    assert found.verdict is Verdict.BROKEN
    assert found.seen.startswith("1 of 8 validations")


def test_a_policy_that_keeps_the_service_account_from_asking() -> None:
    found = told(examined(Cloud(validations=lambda _age: Answer(403, "forbidden"))),
                 "expired tokens", "Keystone")
    assert found.verdict is Verdict.BROKEN
    assert "identity:validate_token" in found.fix


def test_a_refusal_after_the_token_s_end_matters_only_to_what_outlasts_it() -> None:
    cloud = Cloud(expired=REFUSED)
    assert told(examined(cloud, hours=2.0), "service", "volumev3").verdict is Verdict.BROKEN
    short = examined(Cloud(expired=REFUSED), hours=0.5)
    assert told(short, "service", "volumev3").verdict is Verdict.WARNING
    assert short.verdict is Verdict.OK


def test_a_service_that_refuses_nobody_is_a_hole() -> None:
    found = told(examined(Cloud(alone=GOOD)), "service", "volumev3 (refusal)")
    assert found.verdict is Verdict.WARNING
    assert "hole" in found.means


def test_a_window_that_ends_while_services_are_asked_proves_nothing_against_them() -> None:
    answers = iter([GOOD, *[GOOD] * 8])
    report = examined(Cloud(expired=REFUSED, validations=lambda _age: next(
        answers, Answer(404, "Failed to validate token"))))
    assert told(report, "service", "volumev3").verdict is Verdict.UNPROVEN


def test_tokens_that_outlive_their_application_credential_are_no_probe_tokens() -> None:
    cloud = Cloud(probe_token_life=3600.0)
    found = told(examined(cloud), "expired tokens")
    assert found.verdict is Verdict.UNPROVEN
    assert "CVE-2022-2447" in found.seen
    assert cloud.removed == ["probe_token"]


def test_an_application_credential_that_cannot_be_made() -> None:
    cloud = Cloud(why_unprobed="Keystone makes no application credential (403)")
    assert "403" in told(examined(cloud), "expired tokens").seen
    assert cloud.removed == ["probe_token"]      # the request may have been heard


def test_what_cannot_be_removed_is_named() -> None:
    report = examined(Cloud(removal=Answer(503, "busy")))
    assert len(report.left) == 1
    assert report.left[0].startswith("application credential karbor-doctor-")
    assert report.left[0].endswith("(503: busy)")


def test_a_refused_removal_is_tried_with_new_tokens() -> None:
    cloud = Cloud(removal=REFUSED)
    assert examined(cloud).left
    assert cloud.removed == ["probe_token", "tokens", "probe_token"]


def test_an_interruption_removes_what_was_made() -> None:
    cloud = Cloud()

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    context = DiagnosticContext(
        cloud,
        DoctorOptions(active=True),
        Configured(),
        ProbeTokens(),
        clock=cloud.clock,
        sleep=interrupted,
    )
    with pytest.raises(KeyboardInterrupt):
        examine(context)
    assert cloud.removed == ["probe_token"]
    assert context.cleanup.left == []


def test_the_window_is_measured_with_patience_and_counts() -> None:
    cloud = Cloud(validations=lambda age: GOOD if age < 30 else Answer(404, "Failed to validate"))
    report = examined(cloud, patience=60.0)
    found = told(report, "window")
    assert found.verdict is Verdict.BROKEN
    assert 28 <= report.context.bounds.at_least <= 30
    assert 30 <= (report.context.bounds.at_most or 0) <= 32
    assert "[token] allow_expired_window = 172800" in found.fix
    token = report.to_dict()["rungs"][1]
    assert token["ends"] == NOW + 3600 + report.context.bounds.at_least


def test_a_token_laid_aside_by_an_earlier_run_proves_the_window() -> None:
    old = ProbeToken("old", "https://keystone.test/v3", NOW - 172800.0, "sealed")
    report = examined(Cloud(), old)
    assert told(report, "window").verdict is Verdict.OK
    assert all(one.proved for one in report.countdown.predictions)


def test_a_key_that_goes_when_the_window_is_over_is_nothing_to_tell() -> None:
    old = ProbeToken("old", "https://keystone.test/v3", NOW - 172801.0, "sealed")
    lost = Answer(404, "Could not recognize Fernet token")
    report = examined(Cloud(sealed=lost), old)
    assert not [one for one in report.findings if one.check == "fernet keys"]
    young = replace(old, ends=NOW - 7200.0)
    assert told(examined(Cloud(sealed=lost), young), "fernet keys", "Keystone"
                ).verdict is Verdict.BROKEN


def test_a_keystone_that_cannot_answer_for_a_moment_is_asked_again() -> None:
    answers = iter([Answer(503, "busy"), GOOD])
    report = examined(Cloud(validations=lambda _age: next(answers, GOOD)))
    assert report.verdict is Verdict.OK
    assert told(report, "service", "volumev3").verdict is Verdict.OK


def test_a_keystone_that_goes_away_proves_nothing() -> None:
    report = examined(Cloud(expired=REFUSED, validations=lambda _age: Answer(0, "nobody answers")))
    assert told(report, "expired tokens", "Keystone").verdict is Verdict.UNPROVEN
    assert told(report, "service", "volumev3").verdict is Verdict.UNPROVEN


def test_what_is_configured_but_not_seen_is_not_called_proved() -> None:
    report = examined(Cloud())
    assert told(report, "window").verdict is Verdict.UNPROVEN
    assert {one.proved for one in report.countdown.predictions
            if one.what != "the token alone"} == {False}


def test_plain_http_beyond_this_machine() -> None:
    assert told(examined(Cloud(url="http://cinder.test/v3")), "TLS").verdict is Verdict.WARNING
    assert told(examined(Cloud(url="http://127.0.0.1/v3")), "TLS").verdict is Verdict.OK
    assert told(examined(Cloud(), configured=replace(Configured(), verified=False)), "TLS"
                ).verdict is Verdict.WARNING


@pytest.mark.parametrize(("ahead", "verdict"), [
    (3.0, None), (-60.0, Verdict.WARNING), (150.0, Verdict.BROKEN)])
def test_a_service_whose_clock_is_wrong(ahead: float, verdict: Verdict | None) -> None:
    found = [one.verdict for one in examined(Cloud(ahead=ahead)).findings
             if (one.check, one.subject) == ("clock", "volumev3")]
    assert found == ([verdict] if verdict else [])


def test_keys_that_keystone_must_keep() -> None:
    """As Keystone's own guide counts: an hour and 48 h, rotated daily, are five."""
    assert max_active_keys(3600, 172800, 86400) == 5
    assert max_active_keys(3600, 172800, 3600) == 51
    assert max_active_keys(3600, 0, 3600) == 3


REGISTERED = Configured(registered_until=float("inf"), registered_id="an-id",
                        registered_sealed="sealed", trust_roles=frozenset({"nobody"}))


def kind(report: Report, name: str) -> dict[str, Any]:
    return next(one for one in report.to_dict()["rungs"] if one["rung"].startswith(name))


def test_a_registered_credential_is_tried() -> None:
    report = examined(Cloud(), configured=REGISTERED)
    assert told(report, "application credential", "registered").verdict is Verdict.OK
    assert kind(report, "application credential")["possible"]
    assert report.to_dict()["operation"]["until"] is None


def test_a_registered_credential_that_keystone_has_not_promises_nothing() -> None:
    gone = Answer(401, "Keystone refused the login of the registered application credential")
    report = examined(Cloud(registered=gone), configured=REGISTERED, hours=100.0)
    found = told(report, "application credential", "registered")
    assert found.verdict is Verdict.WARNING
    assert "karbor credential register" in found.fix
    assert not kind(report, "application credential")["possible"]
    assert report.to_dict()["operation"]["refused"]
    assert report.verdict is Verdict.BROKEN


def test_whether_a_registered_credential_is_good_may_be_unknown() -> None:
    report = examined(Cloud(registered=Answer(0, "nobody answers")), configured=REGISTERED)
    assert told(report, "application credential", "registered").verdict is Verdict.UNPROVEN


def test_how_long_a_single_backup_may_take_is_told() -> None:
    assert told(examined(Cloud()), "single work").verdict is Verdict.OK
    long = told(examined(Cloud(), hours=72.0), "single work")
    assert long.verdict is Verdict.WARNING
    assert long.seen.startswith("a single backup, restore, image or upload may take 48.8 h: the "
                                "life of a fresh token")
    alone = told(examined(Cloud(), configured=Configured(trust_roles=frozenset({"nobody"})),
                          hours=1.0), "single work")
    assert "what is left of the user's token" in alone.seen
