"""karbor config: everything wrong is told at once, nothing secret, nothing changed."""

from __future__ import annotations

import json
import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from karbor import config
from karbor.cli.program import karbor
from karbor.config_check.check import check
from karbor.config_check.effective_options import MASK, show
from karbor.config_check.removed_options import all_former, former
from karbor.doctor.finding import Finding, Verdict
from karbor.known_options import AUDITING, known
from karbor.telemetry import message_bus

SAMPLE = Path(__file__).parents[3] / "etc" / "karbor" / "karbor.conf.sample"
ACCOUNT = """
[service_user]
auth_type = password
auth_url = https://keystone.example.org/v3
username = karbor
password = hunter2
project_name = service
user_domain_name = Default
project_domain_name = Default
"""


def written(root: Path, text: str, mode: int = 0o600) -> Path:
    file = root / "karbor.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {root / 'state'}\n{text}")
    file.chmod(mode)
    return file


def found(root: Path, text: str, mode: int = 0o600) -> list[Finding]:
    return list(check([written(root, text, mode)]))


def told(findings: list[Finding], verdict: Verdict) -> dict[str, Finding]:
    return {one.subject: one for one in findings if one.verdict is verdict}


def run(file: Path, *words: str) -> Result:
    return CliRunner().invoke(karbor, ["--config-file", str(file), "config", *words])


def test_a_good_one_is_good_and_nothing_is_made(tmp_path: Path) -> None:
    findings = found(tmp_path, ACCOUNT)
    assert {one.verdict for one in findings} == {Verdict.OK}
    assert [one.name for one in tmp_path.iterdir()] == ["karbor.conf"]


def test_what_the_audit_filter_reads_is_known(tmp_path: Path) -> None:
    """As docs/operators/monitoring.md writes it."""
    findings = found(tmp_path, ACCOUNT + "[audit_middleware_notifications]\ndriver = messagingv2\n"
                     "transport_url = rabbit://u:p@h/\ndrivers = log\n")
    (wrong,) = told(findings, Verdict.BROKEN).items()
    assert (wrong[0], wrong[1].fix) == (
        "[audit_middleware_notifications] drivers",
        "there are: driver, topics, transport_url, use_oslo_messaging")


def test_the_options_of_the_audit_filter_are_those_of_the_library() -> None:
    message_bus.oslo_messaging()      # first, on threads
    (entry,) = entry_points(group="oslo.config.opts", name="keystonemiddleware.audit")
    assert {group: {one.dest for one in options} for group, options in entry.load()()} == AUDITING


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    broken = told(found(tmp_path, """
state_pth = /x
[limits]
workers = none
carrier = 2
read_timeout = 3
[limit]
x = 1
[service_user]
auth_type = pasword
[trustee]
username = x
[database]
connection = mysql://u:hunter2@h/db
"""), Verdict.BROKEN)
    assert {subject: one.fix for subject, one in broken.items()} == {
        "[DEFAULT] state_pth": "did you mean state_path?",
        "[limits] workers": "Threads that run steps; the connection pool has room for them all.",
        "[limits] carrier": "did you mean carriers?",
        "[limits] read_timeout": "it is an option of [http]",
        "[limit]": "did you mean [limits]?",
        "[service_user]": "did you mean password?",
        "[trustee]": "add auth_type = password, or another type of keystoneauth",
        "[database] connection": "use SQLite or PostgreSQL"}
    assert "hunter2" not in str(broken)


@pytest.mark.parametrize(("line", "subject"), [
    ("username = karbor\n", "username or user_id"),
    ("password = hunter2\n", "password"),
    ("auth_url = https://keystone.example.org/v3\n", "auth_url"),
    ("project_name = service\n", "project_name or project_id"),
    ("user_domain_name = Default\n", "user_domain_name or user_domain_id"),
    ("project_domain_name = Default\n", "project_domain_name or project_domain_id"),
])
def test_what_an_account_lacks_is_named(tmp_path: Path, line: str, subject: str) -> None:
    findings = told(found(tmp_path, ACCOUNT.replace(line, "")), Verdict.BROKEN)
    assert findings["[service_user]"].seen == f"it says no {subject}"


def test_other_accounts_are_complete_without_a_project(tmp_path: Path) -> None:
    credential = """
[service_user]
auth_type = v3applicationcredential
auth_url = https://keystone.example.org/v3
application_credential_id = x
application_credential_secret = y
"""
    findings = found(tmp_path, credential)
    assert not told(findings, Verdict.BROKEN)
    assert "no trust" in told(findings, Verdict.WARNING)["[trustee]"].means
    trustee = ACCOUNT.replace("[service_user]", "[trustee]").replace("project_name = service\n", "")
    assert not told(found(tmp_path, ACCOUNT + trustee), Verdict.BROKEN)


def test_manners_are_warned_of(tmp_path: Path) -> None:
    text = ACCOUNT.replace("https:", "http:") + "insecure = True\n"
    seen = [one.seen for one in found(tmp_path, text) if one.verdict is Verdict.WARNING]
    assert seen == ["auth_url begins with http:", "insecure = true"]


def test_passwords_that_anybody_may_read_are_broken(tmp_path: Path) -> None:
    subject = str(tmp_path / "karbor.conf")
    assert "644" in told(found(tmp_path, ACCOUNT, 0o644), Verdict.BROKEN)[subject].seen
    assert subject in told(found(tmp_path, ACCOUNT, 0o640), Verdict.OK)
    assert subject in told(found(tmp_path, "", 0o644), Verdict.OK)
    assert "write" in told(found(tmp_path, "", 0o646), Verdict.BROKEN)[subject].seen


def test_a_key_file_for_everybody_is_broken(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    key = tmp_path / "state" / "seal.key"
    key.write_text("nonsense\n")
    key.chmod(0o644)
    assert "open to others" in told(found(tmp_path, ""), Verdict.BROKEN)[str(key)].seen
    key.chmod(0o600)
    assert "something else" in told(found(tmp_path, ""), Verdict.BROKEN)[str(key)].seen


def test_a_state_path_below_a_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert str(tmp_path / "state") in told(found(tmp_path, ""), Verdict.BROKEN)


def test_providers_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "providers.d").mkdir()
    file = tmp_path / "providers.d" / "a.conf"
    good = ("[provider]\nname = a\nid = 11111111-1111-4111-8111-111111111111\n"
            "bank = karbor-fs-bank-plugin\nplugin = karbor-volume-protection-plugin\n"
            "enabled = True\n")
    file.write_text(good)
    assert "a" in told(found(tmp_path, "default_provider = a\n"), Verdict.OK)
    broken = told(found(tmp_path, "default_provider = b\n"), Verdict.BROKEN)
    assert "b is none that is enabled" in broken["[DEFAULT] default_provider"].seen
    file.write_text(good.replace("karbor-fs-bank", "karbor-fs-tank")
                    + "plugin = karbor-nothing\n[swift_client]\npassword = x\n")
    file.chmod(0o644)
    seen = [one.seen for one in found(tmp_path, "") if one.verdict is Verdict.BROKEN]
    assert len(seen) == 3
    file.write_text(good.replace("True", "False"))
    assert "none of them is enabled" in str(told(found(tmp_path, ""), Verdict.BROKEN))


def test_a_file_that_cannot_be_read_is_told_without_its_words(tmp_path: Path) -> None:
    findings = found(tmp_path, "[service_user]\npassword hunter2\n")
    assert "line 4" in told(findings, Verdict.BROKEN)[str(tmp_path / "karbor.conf")].seen
    assert "hunter2" not in str(findings)
    assert [one.verdict for one in check([tmp_path / "no.conf"])].count(Verdict.BROKEN) == 1


@pytest.mark.parametrize(("group", "name", "hint"), [
    ("DEFAULT", "thread_count", "[limits] workers has taken its place"),
    ("DEFAULT", "query_plan_filters", "remove it"),
    ("nova_client", "nova_endpoint", "[nova] endpoint_override"),
    ("cinder_client", "cinder_auth_insecure", "[service_user] insecure"),
    ("database", "max_pool_size", "remove it"), ("karbor_client", "", "remove it")])
def test_what_karbor_1_called_otherwise_is_a_warning(
        tmp_path: Path, group: str, name: str, hint: str) -> None:
    said = former(group, name)
    assert said is not None
    assert hint in said.hint
    text = f"{name or 'version'} = 1\n" if group == "DEFAULT" else (
        f"[{group}]\n{name or 'version'} = 1\n")
    findings = found(tmp_path, text)
    assert not told(findings, Verdict.BROKEN)
    assert hint in str(told(findings, Verdict.WARNING))


def test_what_took_an_options_place_is_an_option() -> None:
    options = known({})
    # Rooms that come with what they configure.
    later = {"schedule", "kubernetes", "trove"}
    here = {(group, name) for group, name in (one.now for one in all_former().values() if one.now)
            if group not in later and name not in ("provider_operations", "sweep_interval")}
    assert here
    for group, name in here:
        assert options.option(group, name) if name else group in options.groups, (group, name)
    for group, name in all_former():
        assert not name or options.option(group, name) is None, (group, name)


def test_the_sample_is_good(tmp_path: Path) -> None:
    copied = written(tmp_path, SAMPLE.read_text().replace("[DEFAULT]\n", "", 1))
    assert not told(list(check([copied])), Verdict.BROKEN)


def test_the_command_ends_with_what_it_found(tmp_path: Path) -> None:
    good = run(written(tmp_path, ACCOUNT), "check", "--format", "json")
    assert good.exit_code == 0
    assert json.loads(good.stdout)["verdict"] == "ok"
    bad = run(written(tmp_path, ACCOUNT + "usrname = x\n"), "check")
    assert bad.exit_code == 1
    assert "did you mean username?" in bad.stdout
    assert "1 broken" in bad.stderr


def test_what_is_in_effect_is_shown_with_its_source_and_no_secret(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_HTTP__RETRIES", "2")
    file = written(tmp_path, ACCOUNT + "pasword = hunter3\n[limits]\nworkers = 3\n"
                   "[database]\nconnection = postgresql://karbor:hunter4@db/karbor\n")
    shown: dict[str, Any] = {f"{one.group}.{one.name}": one for one in show([file])}
    assert (shown["limits.workers"].value, shown["limits.workers"].source) == (3, str(file))
    assert (shown["http.retries"].value, shown["http.retries"].source[:11]) == (2, "environment")
    assert shown["limits.carriers"].source == "default"
    assert shown["service_user.password"].value == shown["service_user.pasword"].value == MASK
    assert shown["database.connection"].value == "postgresql://karbor:***@db/karbor"
    result = run(file, "show", "--all")
    assert result.exit_code == 0
    assert "hunter" not in result.output
    assert str(config.bank_path(config.load([file]))) in result.stdout
    assert os.environ["OS_HTTP__RETRIES"] == "2"
