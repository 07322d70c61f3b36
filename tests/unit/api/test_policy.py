"""Rules: as they are, and as operators change them."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from oslo_policy import generator
from stevedore import ExtensionManager

from karbor import config
from karbor.api.application import make_app
from karbor.api.enforcement import get_enforcer
from karbor.api.policies import list_rules
from tests.unit.api.conftest import Api, new_plan, wiring_of
from tests.unit.api.people import ADMIN, MINE, THEIRS, Person, fake_keystone

OF_KARBOR_1 = {
    "plan:create", "plan:update", "plan:delete", "plan:get", "plan:get_all", "restore:create",
    "restore:update", "restore:get", "restore:get_all", "protectable:get", "protectable:get_all",
    "protectable:instance_get", "protectable:instance_get_all", "provider:get", "provider:get_all",
    "provider:checkpoint_get", "provider:checkpoint_get_all", "provider:checkpoint_create",
    "provider:checkpoint_delete", "provider:checkpoint_update", "trigger:create", "trigger:update",
    "trigger:delete", "trigger:get", "trigger:list", "scheduled_operation:create",
    "scheduled_operation:delete", "scheduled_operation:get", "scheduled_operation:list",
    "operation_log:get", "operation_log:list", "verification:create", "verification:get",
    "verification:get_all", "copy:create", "quota:get", "quota:get_default", "quota_class:get",
    "service:get_all", "service:update", "quota:update", "quota:delete", "quota_class:update",
    "context_is_admin", "admin_or_owner", "admin_api", "default"}
NEW = {"operation_log:events", "operation_log:remove_left", "scheduled_operation:update",
       "scheduled_operation:run"}
NOBODY = Person("nobody")


def test_every_rule_of_karbor_1_is_there_and_documented() -> None:
    names = [one.name for one in list_rules()]
    assert len(names) == len(set(names))
    assert set(names) >= OF_KARBOR_1 | NEW
    for one in list_rules():
        assert one.description
        if ":" in one.name:
            assert one.scope_types
            assert one.operations


@pytest.mark.parametrize("namespace", ["oslo.policy.policies", "oslo.policy.enforcer"])
def test_the_tools_of_oslo_policy_find_karbor(namespace: str) -> None:
    assert "karbor" in ExtensionManager(namespace).names()


def test_a_sample_can_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    generator._generate_sample(["karbor"])
    text = capsys.readouterr().out
    assert '#"plan:create": "rule:project_member_or_admin"' in text
    assert "# POST  /v1/{project_id}/plans" in text


def test_the_enforcer_knows_the_changes_of_this_host(tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "karbor.conf"
    (tmp_path / "policy.yaml").write_text('"plan:get": "!"\n')
    file.write_text("[DEFAULT]\n")
    monkeypatch.setenv("KARBOR_CONFIG", str(file))
    assert str(get_enforcer().rules["plan:get"]) == "!"


def serve(place: Path, engine: sa.Engine, policy: str) -> Api:
    (place / "policy.yaml").write_text(policy)
    file = place / "karbor.conf"
    file.write_text("[DEFAULT]\n")
    conf = config.load([file])
    wiring = wiring_of(conf, engine)
    return Api(make_app(conf, wiring, fake_keystone), wiring)


@pytest.mark.parametrize("rule", [
    "rule:admin_or_owner",
    "is_admin:True or (role:admin and is_admin_project:True) or project_id:%(project_id)s"])
def test_a_policy_file_of_karbor_1_still_means_what_it_meant(
        tmp_path: Path, engine: sa.Engine, rule: str) -> None:
    api = serve(tmp_path, engine, f'"plan:create": "{rule}"\n"plan:get": "{rule}"\n')
    nobody = api.of(NOBODY)
    id = nobody.make_plan()["id"]
    nobody("GET", f"/plans/{id}")
    nobody("GET", "/plans", status=403)
    api.of(THEIRS)("GET", f"/plans/{id}", status=404)
    api.of(Person("admin", THEIRS.project_id))("GET", f"/plans/{id}")


def test_an_operator_may_take_from_administrators_what_is_not_theirs(
        tmp_path: Path, engine: sa.Engine) -> None:
    own = "role:member and project_id:%(project_id)s"
    api = serve(tmp_path, engine, f'"plan:delete": "{own}"\n')
    theirs = api.of(THEIRS).make_plan()["id"]
    api.of(ADMIN)("GET", f"/plans/{theirs}")
    api.of(ADMIN)("DELETE", f"/plans/{theirs}", status=404)
    mine = api.make_plan()["id"]
    api.of(ADMIN)("DELETE", f"/plans/{mine}")


def test_changed_rules_count_at_once(tmp_path: Path, engine: sa.Engine) -> None:
    api = serve(tmp_path, engine, '"plan:create": "!"\n')
    refused = api("POST", "/plans", {"plan": new_plan()}, status=403).json["forbidden"]
    assert "plan:create" in refused["message"]
    (tmp_path / "policy.yaml").write_text('"plan:create": "role:member or role:admin"\n')
    api.make_plan()


def test_who_administers_is_a_rule_too(tmp_path: Path, engine: sa.Engine) -> None:
    api = serve(tmp_path, engine, '"context_is_admin": "role:nosuch"\n')
    api.of(THEIRS).make_plan()
    listed = api.of(ADMIN)("GET", "/plans", query_string="all_tenants=1").json
    assert listed == {"plans": []}
    api.of(ADMIN)("PUT", f"/quotas/{MINE}", {"quota": {}}, status=403)
