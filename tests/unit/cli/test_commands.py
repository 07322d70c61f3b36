"""What the commands make of what Karbor answers: words, JSON, exit codes."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from karbor.application.admission import Draft
from karbor.application.checkpoint_listing import CheckpointListing
from karbor.application.requests import RestoreOptions
from karbor.cli import exit_codes, progress_table
from karbor.cli.formatting import titles
from karbor.cli.steps_view import rows
from karbor.domain import errors
from karbor.domain.checkpoint import CheckpointState
from karbor.domain.operation import OperationState, Verb
from karbor.domain.resource import VOLUME, Resource, ResourceGraph
from karbor.domain.step import Hook, Step, StepState
from karbor.domain.verification import Damage, Verification
from tests.unit.cli.fakes import (
    DATA,
    WEB,
    FakeLocal,
    Refused,
    checkpoint,
    graph,
    operation,
    planned,
    run,
    steps,
)

DONE = planned(state=OperationState.DONE, finished_at=1061.0)
FAILED = planned(state=OperationState.FAILED, finished_at=1061.0, error={
    "error": "RemoteFailed", "message": "backup b1 went to state error", "service": "cinder",
    "request": "POST /backups", "request_id": "req-7", "resource": "OS::Cinder::Volume data",
    "remedy": "ask the operator"})


def protecting(*life: Any) -> FakeLocal:
    return FakeLocal([(operation(), []), (planned(), steps(StepState.RUNNING)), *life])


# ---------------------------------------------------------------- protect
def test_what_a_protection_has_to_say_beforehand_is_told_once() -> None:
    local = FakeLocal([(DONE, steps())], beforehand=[(DATA, "no copy"), (WEB, "no copy")])
    told = run(local, "protect", "web-1", "--dry-run")
    assert told.stderr.count("no copy") == 1
    assert "note: volume data, server web-1: no copy" in told.stderr
    found = json.loads(run(local, "protect", "web-1", "--dry-run", "-f", "json").stdout)
    assert found["preview"][0] == {"resource": DATA.key, "told": "no copy"}


def test_a_protect_is_told_from_its_beginning_to_its_end() -> None:
    local = protecting((DONE, steps()))
    result = run(local, "protect", "web-1", "--name", "before")
    assert result.exit_code == 0
    assert local.asked[0] == ("protect", ("web-1",), "before", {})
    begun = result.stderr.splitlines()
    assert begun[0].split() == ["operation", operation().id, "(protect)"]
    assert begun[2].endswith("own login of cloud mine")
    assert begun[3] == "can run     without an end, because it renews itself"
    assert "volume data: snapshot: done (2.0 s)" in result.stderr
    assert result.stderr.index("backup …") < result.stderr.index("backup: done")
    assert "protected in 1 min 1 s" in result.stderr
    assert "0.2 s between the first and the last snapshot, as the storage dates them" in (
        result.stdout)
    assert "2.0 GiB volume, full" in result.stdout
    assert "not kept  server web-1: user data: hidden by policy" in result.stdout


def test_json_alone_stands_on_stdout() -> None:
    result = run(protecting((DONE, steps())), "protect", "web-1", "-f", "json")
    told = json.loads(result.stdout)
    assert (told["state"], told["checkpoint"]["evidence"]) == ("done", "objects")
    assert "sealed" not in result.stdout + result.stderr


def test_a_deadline_is_told() -> None:
    kept = {**operation().credential, "deadline": 2000.0}
    begun = operation(credential=kept)
    result = run(FakeLocal([(begun, []), (DONE, steps())]), "protect", "web-1")
    assert "can run     until 1970-01-01" in result.stderr


def test_parameters_come_from_options() -> None:
    local = FakeLocal([(DONE, steps())])
    run(local, "protect", "web-1", "--incremental", "--param", "server:depth=3",
        "--param", "volume:container=box")
    assert local.asked[0][3] == {VOLUME: {"backup_mode": "auto", "container": "box"},
                                 "OS::Nova::Server": {"depth": 3}}


@pytest.mark.parametrize("word", ["volume", "volume:x", "x=1", ":x=1", "volume:=1"])
def test_a_parameter_of_no_form_is_refused(word: str) -> None:
    local = FakeLocal()
    result = run(local, "protect", "web-1", "--param", word)
    assert result.exit_code == exit_codes.USAGE
    assert "TYPE:OPTION=VALUE" in result.stderr
    assert local.asked == []


def test_a_dry_run_starts_nothing() -> None:
    local = FakeLocal()
    result = run(local, "protect", "web-1", "--dry-run")
    assert result.exit_code == 0
    assert ("start",) not in local.asked
    assert "  volume data" in result.stdout
    assert json.loads(run(FakeLocal(), "-f", "json", "protect", "web-1", "--dry-run").stdout)[
        "graph"] == graph().to_dict()


def test_a_dry_run_promises_nothing_beside_a_warning() -> None:
    class Tight(FakeLocal):
        def _draft(self, *what: Any) -> Any:
            return replace(super()._draft(*what), warnings=["the bank is small"])

    told = run(Tight(), "protect", "web-1", "--dry-run")
    assert "warning: the bank is small" in told.stderr
    assert "nothing stands in the way" not in told.stderr
    assert "nothing stands in the way" in run(FakeLocal(), "protect", "web-1", "--dry-run").stderr
    found = json.loads(run(Tight(), "protect", "web-1", "--dry-run", "-f", "json").stdout)
    assert found["warnings"] == ["the bank is small"]
    begun = run(Tight([(operation(), []), (DONE, steps())]), "protect", "web-1")
    assert "warning: the bank is small" in begun.stderr


def test_a_failure_names_resource_request_and_cause() -> None:
    local = protecting((FAILED, steps(StepState.FAILED, error={"message": "no space"})))
    result = run(local, "protect", "web-1")
    assert result.exit_code == exit_codes.FAILED
    assert ("karbor: protect of web-1 failed: OS::Cinder::Volume data: backup b1 went to state "
            "error (ask the operator) [cinder POST /backups, req-7]") in result.stderr
    assert "backup: failed: no space" in result.stderr


def test_what_could_not_be_removed_is_listed() -> None:
    left = replace(FAILED, result={"left": [{
        "resource": DATA.key, "stage": "snapshot", "handle": {"id": "snap-1"}, "why": "busy"}]})
    result = run(protecting((left, [])), "protect", "web-1")
    assert "left over: volume data: snapshot: snap-1: busy" in result.stderr


TOPOLOGY = {"created": [{"kind": "networks", "id": "n2", "name": "web-net"},
                        {"kind": "security-groups", "id": "g2", "name": ""}],
            "maps": {"networks": {"n1": "n2"}, "subnets": {"s1": "kept-before"}}}


@pytest.mark.parametrize(("handle", "words"), [
    ({"id": "snap-1", "asked": {"request": "POST"}}, "snap-1"),
    (TOPOLOGY, "network n2 web-net, security group g2"),
    ({"created": [], "maps": {"networks": {"n1": "n1"}}}, "nothing"),
    ({"volume_id": "v9", "deleting": True, "asked": {"request": "POST"}}, "volume id v9"),
    ({}, "its id is not known")])
def test_what_a_step_holds_on_to_is_told_in_words(handle: dict[str, Any], words: str) -> None:
    left = {"resource": DATA.key, "stage": "image_bytes", "handle": handle, "why": "busy"}
    over = replace(FAILED, verb=Verb.RESTORE, result={
        "left": [left], "kept": [{"type": VOLUME, "name": "data", "stage": "volume", **handle}]})
    told = run(protecting((over, [])), "restore", "web-1").stderr
    assert f"left over: volume data: image bytes: {words}: busy" in told
    assert f"kept: volume data volume: {words}\n" in told
    shown = run(FakeLocal([(over, [])]), "operation", "show", "0d3c").stdout
    assert f"left over  volume data: image bytes: {words}: busy" in shown
    assert "{" not in told + shown


# ---------------------------------------------------------------- alike
TWINS = [Resource(VOLUME, f"{one}a2b3c4d-0000-4000-8000-000000000000", "data") for one in "12"]


def twins() -> ResourceGraph:
    return ResourceGraph.build([*TWINS, WEB], lambda level: {})


def test_two_resources_of_one_name_are_told_apart() -> None:
    running = planned(plan={"graph": twins().to_dict()})
    of_both = [Step(number, one.key, Hook.MAIN, "backup", state=StepState.DONE, entered_at=1000.0,
                    finished_at=1001.0) for number, one in enumerate(TWINS)]
    result = run(FakeLocal([(operation(), []), (replace(running, state=OperationState.FAILED),
                                                of_both)]), "protect", "data")
    for one in TWINS:
        assert f"volume data ({one.id[:8]}): backup: done (1.0 s)" in result.stderr
    shown = run(FakeLocal([(running, of_both)]), "operation", "show", "0d3c").stdout
    for one in TWINS:
        assert f"volume data ({one.id[:8]})  backup" in shown
    assert [row.name for row in rows(twins(), of_both)] == [
        "volume data (1a2b3c4d)", "volume data (2a2b3c4d)", "server web-1"]


@pytest.mark.parametrize(("first", "second", "apart"), [
    (Resource(VOLUME, "12345678-a", "x"), Resource(VOLUME, "12345678-b", "x"),
     ["volume x (12345678-a)", "volume x (12345678-b)"]),
    (Resource(VOLUME, "12345678-a", "x", within="one"),
     Resource(VOLUME, "12345678-a", "x", within="two"),
     ["volume x (12345678 in one)", "volume x (12345678 in two)"]),
    (Resource(VOLUME, "1", "x"), Resource(VOLUME, "2", "y"), ["volume x", "volume y"])])
def test_as_much_of_an_id_as_tells_it_apart(first: Resource, second: Resource, apart: list[str]
                                            ) -> None:
    assert list(titles([first, second]).values()) == apart


@pytest.mark.parametrize("verb", list(Verb))
def test_a_clock_that_was_set_back_tells_no_time(verb: Verb) -> None:
    result = {"objects": 1, "bytes": 2} if verb is Verb.COPY else {}
    over = replace(DONE, verb=verb, finished_at=operation().created_at - 3526.0, result=result)
    local = FakeLocal([(operation(), []), (over, steps(finished_at=900.0))])
    told = run(local, "protect", "web-1").stderr
    assert "in an unknown time (the clock was set back)" in told
    listed = run(local, "operation", "list").stdout + run(local, "operation", "show", "0d").stdout
    assert listed.count("an unknown time (the clock was set back)") == 2
    assert not re.search(r"-\d+(\.\d)? s", told + listed)


def test_a_long_reason_does_not_widen_the_list() -> None:
    long = "volume data went to an error state because " + "of everything " * 60
    listing = CheckpointListing(found=[checkpoint(state=CheckpointState.ERROR, reason=long),
                                     checkpoint(id="01a3-checkpoint")])
    local = FakeLocal([(DONE, [])], listing=listing)
    head, *lines = run(local, "checkpoint", "list").stdout.splitlines()
    assert max(map(len, lines)) < 180
    assert lines[0].index("volume data went to") == head.index("WHY")
    assert lines[0].endswith("…")
    assert json.loads(run(local, "checkpoint", "list", "-f", "json").stdout)[0]["reason"] == long
    assert long.strip() in run(local, "checkpoint", "show", "01a2-checkpoint").stdout


def test_obstacles_found_late_are_all_told() -> None:
    found = replace(FAILED, plan={}, error={"message": "cannot be protected", "obstacles": [
        {"what": "quota", "remedy": "delete some"}, {"what": "state error", "remedy": ""}]})
    result = run(FakeLocal([(operation(), []), (found, [])]), "protect", "web-1")
    assert "  - quota (delete some)\n  - state error\n" in result.stderr


# ---------------------------------------------------------------- interruption
class Interrupting(FakeLocal):
    """Somebody presses Ctrl-C while it waits."""

    def wait(self, which: Any, timeout: float | None = None) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return self.life[0][0]


def test_control_c_stops_and_says_how_to_go_on() -> None:
    local = Interrupting([(planned(), steps(StepState.RUNNING))])
    result = run(local, "protect", "web-1")
    assert result.exit_code == exit_codes.INTERRUPTED
    assert local.stopped
    assert f"karbor operation resume {operation().id}" in result.stderr


def test_what_stopped_it_is_told_with_how_to_go_on() -> None:
    class Stopped(FakeLocal):
        def wait(self, which: Any, timeout: float | None = None) -> Any:
            raise errors.BankReadOnly("the bank is read-only", remedy="mount it for writing")

    result = run(Stopped([(planned(), steps(StepState.RUNNING))], dead=True), "protect", "web-1")
    assert result.exit_code == exit_codes.BANK
    assert result.stderr.splitlines()[-3:] == [
        "karbor: the bank is read-only (mount it for writing)",
        ("        the protect stands where it was; when that is repaired, go on with: "
         f"karbor operation resume {operation().id}"),
        f"        or undo it with: karbor operation cancel {operation().id}"]


@pytest.mark.parametrize(("error", "code"), [
    ("BankFull", 5), ("BankReadOnly", 5), ("ObjectDamaged", 5), ("RemoteFailed", 1),
    ("CloudForbidden", 1), ("TokenRejected", 1), ("NoSuchError", 1), ("", 1)])
def test_an_operation_that_the_bank_ended_has_the_code_of_the_bank(error: str, code: int) -> None:
    ended = replace(FAILED, error={"error": error, "message": "x"})
    assert run(protecting((ended, [])), "protect", "web-1").exit_code == code


def test_control_c_before_anything_has_begun() -> None:
    result = run(FakeLocal(raises=KeyboardInterrupt()), "protect", "web-1")
    assert result.exit_code == exit_codes.INTERRUPTED
    assert "nothing has been begun" in result.stderr


def test_control_c_while_it_is_being_begun_tells_that_it_was_written_down() -> None:
    class Begun(FakeLocal):
        def start(self, draft: Any) -> Any:
            raise KeyboardInterrupt

    for words in (("protect", "web-1"), ("restore", "web-1"), ("verify", "web-1"),
                  ("checkpoint", "delete", "web-1", "--yes")):
        result = run(Begun([(operation(), [])]), *words)
        assert result.exit_code == exit_codes.INTERRUPTED
        assert f"karbor operation resume {operation().id}" in result.stderr
        assert "nothing has been begun" not in result.stderr


def test_control_c_just_before_it_was_written_down() -> None:
    class Unknown(FakeLocal):
        def start(self, draft: Any) -> Any:
            raise KeyboardInterrupt

        def operation(self, which: Any) -> Any:
            raise errors.NotFound("no such operation")

    result = run(Unknown(), "protect", "web-1")
    assert result.exit_code == exit_codes.INTERRUPTED
    assert "nothing has been begun" in result.stderr


def test_a_second_control_c_ends_at_once() -> None:
    """In a process of its own, whose driver does not stop."""
    program = """
import os, signal, threading
from tests.unit.cli.fakes import FakeLocal, planned, run, steps

class Stuck(FakeLocal):
    def wait(self, which, timeout=None):
        os.kill(os.getpid(), signal.SIGINT)
        return self.life[0][0]

    def stop(self):
        print("stopping", flush=True)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(120)
        print("stopped", flush=True)

run(Stuck([(planned(), steps())]), "protect", "web-1")
print("ended as usual", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == exit_codes.INTERRUPTED, done
    assert "ended as usual" not in done.stdout
    assert "stopped" not in done.stdout


# ---------------------------------------------------------------- restore, verify, delete
def test_the_wishes_of_a_restore() -> None:
    local = FakeLocal([(replace(DONE, verb=Verb.RESTORE, result={"restored": [
        {"type": VOLUME, "old_id": "v1", "name": "data", "within": "", "id": "v2",
         "not_restored": [{"field": "MAC", "why": "in use"}]}]}), [])])
    result = run(local, "restore", "web-1", "--map", "m1.small=m1.tiny", "--new-networks",
                 "--keep", "--name", "data=data-2")
    assert result.exit_code == 0
    assert local.asked[0] == ("restore", "web-1", RestoreOptions(
        {"m1.small": "m1.tiny"}, True, True, {}, {"data": "data-2"}))
    assert result.stdout.splitlines()[1].split() == ["volume", "data", "v1", "v2"]
    assert "not restored: volume data: MAC: in use" in result.stderr


def test_contradicting_answers_are_refused() -> None:
    result = run(FakeLocal(), "restore", "x", "--map", "a=b", "--map", "a=c")
    assert (result.exit_code, "two different things of a" in result.stderr) == (2, True)


def test_a_restore_shows_what_it_would_do() -> None:
    result = run(FakeLocal(), "restore", "web-1", "--dry-run")
    assert "create volume data (2 GiB)" in result.stdout


def test_the_dry_run_of_a_restore_names_the_damage() -> None:
    local = FakeLocal()
    draft = local._draft

    def damaged(*what: Any) -> Draft:
        return replace(draft(*what), warnings=["a verify found damage: volume data: it is gone"])

    local._draft = damaged      # type: ignore[method-assign]
    result = run(local, "restore", "web-1", "--dry-run")
    assert "karbor: a verify found damage: volume data: it is gone" in result.stderr
    assert "what is damaged cannot be made again" in result.stderr
    body = json.loads(run(local, "restore", "web-1", "--dry-run", "-f", "json").stdout)
    assert body["warnings"] == ["a verify found damage: volume data: it is gone"]


def test_a_verification_that_found_damage() -> None:
    bad = replace(FAILED, verb=Verb.VERIFY, result={"verified": [
        {"type": VOLUME, "id": "v1", "name": "data", "error": "an object is gone"}]})
    result = run(FakeLocal([(bad, [])]), "verify", "web-1")
    assert result.exit_code == exit_codes.FAILED
    assert "an object is gone" in result.stdout


def test_a_reason_is_told_once_for_all_it_holds_for() -> None:
    good = replace(DONE, verb=Verb.VERIFY, result={"verified": [
        {"type": VOLUME, "name": name, "evidence": "objects", "unproved": "no bytes were read"}
        for name in ("data", "logs")] + [{"type": VOLUME, "name": "x", "evidence": "checksums"}]})
    result = run(FakeLocal([(good, [])]), "verify", "web-1")
    assert result.stdout.splitlines()[-1] == (
        "no further  volume data, volume logs: no bytes were read")


def test_what_was_made_beside_a_topology_is_listed() -> None:
    over = replace(DONE, verb=Verb.RESTORE, result={"restored": [
        {"type": "OS::Neutron::Network", "name": "Network topology", "old_id": "p1",
         "maps": {"networks": {"n-old": "n-new", "kept": "kept"}},
         "created": [{"kind": "networks", "id": "n-new", "name": "web-net"}]},
        {"type": VOLUME, "name": "data", "old_id": "v-old", "id": "v-new"}]})
    result = run(FakeLocal([(over, [])]), "restore", "web-1")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["TYPE", "NAME", "OLD", "ID", "NEW", "ID"],
        ["network", "web-net", "n-old", "n-new"], ["volume", "data", "v-old", "v-new"]]


def test_several_are_deleted_and_what_waits_is_told() -> None:
    over = replace(DONE, verb=Verb.DELETE, result={"deferred": [
        {"type": VOLUME, "name": "data", "id": "b1"},
        {"type": VOLUME, "name": "data", "id": "b0"}], "swept": ["b0"]})
    local = FakeLocal([(over, [])])
    result = run(local, "checkpoint", "delete", "web-1", "web-1", "--yes")
    assert result.exit_code == 0
    assert [one for one in local.asked if one[0] == "delete"] == [("delete", "web-1")]
    assert "left for later: volume data: backup b1" in result.stderr
    assert "backup b0" not in result.stderr
    assert "1 backup that earlier deletions had to leave" in result.stderr


# ---------------------------------------------------------------- lists
def test_checkpoints_and_the_ones_that_cannot_be_read() -> None:
    listing = CheckpointListing(found=[checkpoint()], unreadable=[
        errors.ObjectDamaged("checkpoint 99: damaged")])
    result = run(FakeLocal([(DONE, [])], listing=listing), "checkpoint", "list")
    assert result.exit_code == exit_codes.BANK
    assert "web-1" in result.stdout
    assert "karbor: checkpoint 99: damaged" in result.stderr


DAMAGED = Verification("op-9", 1000.0, "objects", (
    Damage("k", "OS::Cinder::Volume", "v1", "data", "Swift has no object x"),))


def test_a_damaged_checkpoint_is_seen_as_one() -> None:
    listing = CheckpointListing([checkpoint(verified=DAMAGED), checkpoint(verified=Verification(
        "op-8", 1000.0, "checksums"))])
    result = run(FakeLocal([(DONE, [])], listing=listing), "checkpoint", "list")
    bad, good = result.stdout.splitlines()[1:3]
    assert "available, DAMAGED" in bad
    assert "damage was found" in bad
    assert "DAMAGED" not in good
    assert "checksums" in good.rsplit("1970", 1)[1]
    listed = json.loads(run(FakeLocal([(DONE, [])], listing=listing), "checkpoint", "list", "-f",
                            "json").stdout)
    assert [one["damaged"] for one in listed] == [True, False]
    assert listed[0]["verified"]["damage"][0]["what"] == "Swift has no object x"
    local = FakeLocal([(DONE, [])])
    local.checkpoint = lambda _name: checkpoint(verified=DAMAGED)   # type: ignore[method-assign]
    shown = run(local, "checkpoint", "show", "web-1").stdout
    assert "DAMAGED" in shown
    assert "volume data: Swift has no object x" in shown
    assert "by operation op-9" in shown


def test_an_interrupted_protect_is_shown_with_its_remedy() -> None:
    listing = CheckpointListing(found=[checkpoint(state=CheckpointState.PROTECTING)], unreadable=[])
    result = run(FakeLocal([(planned(), [])], listing=listing, dead=True), "checkpoint", "list")
    assert re.search(r" interrupted +3 ", result.stdout)
    remedy = f"was interrupted; go on with: karbor operation resume {operation().id}"
    assert f"web-1 {remedy}" in result.stderr
    listed = run(FakeLocal([(planned(), [])], dead=True), "operation", "list")
    assert listed.stdout.endswith("interrupted\n")
    assert f"protect of web-1 {remedy}" in listed.stderr
    shown = run(FakeLocal([(planned(), [])], listing=listing, dead=True),
                "checkpoint", "show", "web-1")
    assert f"web-1 {remedy}" in shown.stderr


def test_an_interrupted_verify_is_no_matter_of_its_checkpoint() -> None:
    listing = CheckpointListing(found=[checkpoint()], unreadable=[])
    verifying = planned(verb=Verb.VERIFY)
    result = run(FakeLocal([(verifying, [])], listing=listing, dead=True), "checkpoint", "list")
    assert "interrupted" not in result.stdout + result.stderr


def test_nothing_is_said_to_people_only() -> None:
    result = run(FakeLocal([(DONE, [])]), "checkpoint", "list")
    assert (result.stdout, result.stderr) == ("", "this project has no checkpoints\n")
    assert run(FakeLocal([(DONE, [])]), "checkpoint", "list", "-f", "json").stdout == "[]\n"


def test_an_operation_with_its_steps() -> None:
    local = FakeLocal([(planned(), steps(StepState.RUNNING))], dead=True)
    text = run(local, "operation", "show", "0d3c").stdout
    assert "interrupted while running (resume with: karbor operation resume" in text
    assert "creating 40 %" in text
    told = json.loads(run(local, "operation", "show", "0d3c", "-f", "json").stdout)
    assert told["interrupted"]
    assert [one["stage"] for one in told["steps"]] == ["snapshot", "backup"]
    assert "sealed" not in text + json.dumps(told)


def test_an_operation_that_no_worker_has_begun_waits_for_one() -> None:
    accepted = operation(created_at=time.time() - 150)
    local = FakeLocal([(accepted, [])], queued=True)
    for command in (("list",), ("show", "0d3c")):
        result = run(local, "operation", *command)
        assert re.search(r"waits for a worker \(2 min 3\d s\)", result.stdout)
        assert "interrupted" not in result.stdout + result.stderr
    told = json.loads(run(local, "operation", "show", "0d3c", "-f", "json").stdout)
    assert (told["interrupted"], told["waits_for_worker"]) == (False, True)
    [listed] = json.loads(run(local, "operation", "list", "-f", "json").stdout)
    assert (listed["interrupted"], listed["waits_for_worker"]) == (False, True)


def test_an_operation_says_what_a_restore_could_not_give_back() -> None:
    done = replace(DONE, verb=Verb.RESTORE, result={"restored": [
        {"type": VOLUME, "old_id": "v1", "name": "data", "within": "", "id": "v2",
         "not_restored": [{"field": "description", "why": "refused"}]}]})
    text = " ".join(run(FakeLocal([(done, [])]), "operation", "show", "0d3c").stdout.split())
    assert "not restored volume data: description: refused" in text


@pytest.mark.parametrize(("state", "code"), [
    (OperationState.CANCELLED, exit_codes.DONE), (OperationState.DONE, exit_codes.CONFLICT),
    (OperationState.FAILED, exit_codes.FAILED)])
def test_how_a_cancelling_ends(state: OperationState, code: int) -> None:
    over = planned(state=state, finished_at=1010.0, error={"message": "x"})
    local = FakeLocal([(planned(), []), (over, [])])
    assert run(local, "operation", "cancel", "0d3c").exit_code == code
    assert local.asked[0] == ("cancel", "0d3c")


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(("error", "code"), [
    (errors.UnknownName("x"), 2), (errors.Obstacles("x", [{"what": "y"}]), 2),
    (errors.NotFound("x"), 2), (errors.LoginFailed("x"), 3), (errors.ServiceUserUnfit("x"), 3),
    (errors.QuotaExceeded("x"), 4), (errors.NewerFormat("x"), 5), (errors.BankFull("x"), 5),
    (errors.Conflict("x"), 6), (errors.NewerDatabase("x"), 7), (Refused("x"), 1),
    (RuntimeError("x"), 70)])
def test_every_family_of_errors_has_its_exit_code(error: Exception, code: int) -> None:
    result = run(FakeLocal(raises=error), "resources")
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("karbor: ")
    assert "Traceback" not in result.stderr
    assert "Traceback" in run(FakeLocal(raises=error), "--debug", "resources").stderr


def test_an_error_is_one_line_with_all_there_is_to_know() -> None:
    error = errors.CloudForbidden("policy forbids it", service="nova", request="GET /servers",
                                  request_id="req-1", remedy="ask", resource="server web-1")
    result = run(FakeLocal(raises=error), "resources")
    assert result.stderr == ("karbor: server web-1: policy forbids it (ask) "
                             "[nova GET /servers, req-1]\n")


def test_one_obstacle_of_many_resources_is_told_once() -> None:
    full = errors.Obstacles("it cannot be restored", [
        {"what": "there is no zone x", "remedy": "--map a=B", "resource": one} for one in "pq"])
    told = run(FakeLocal(raises=full), "restore", "web-1").stderr
    assert told.splitlines() == ["karbor: it cannot be restored",
                                 "  - there is no zone x (--map a=B)"]


def test_every_exit_code_is_documented_in_the_help() -> None:
    text = run(FakeLocal(), "--help").stdout
    for name, value in vars(exit_codes).items():
        if name.isupper() and isinstance(value, int):
            assert f"\n      {value:<4} " in text, name


def test_verbose_may_stand_after_the_command() -> None:
    try:
        assert run(FakeLocal(), "resources", "--verbose").exit_code == 0
        assert logging.getLogger().isEnabledFor(logging.INFO)
        assert not logging.getLogger().isEnabledFor(logging.DEBUG)
    finally:
        run(FakeLocal(), "resources")


def test_global_options_may_stand_anywhere() -> None:
    assert run(FakeLocal(), "-f", "json", "resources").stdout == \
        run(FakeLocal(), "resources", "-f", "json").stdout


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c",
         "import karbor.cli as c, sys; sys.argv = ['karbor', '--help']; c.main()"],
        capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "karbor.cli.program" in imported
    assert not imported & {"openstack", "keystoneauth1", "sqlalchemy", "rich",
                           "oslo_config", "stevedore"}


class Speaking(FakeLocal):
    """Its libraries log while a command runs. (What they would log after it depends on what else
    the process does with its loggers.)"""

    def resources(self) -> ResourceGraph:
        for name in ("karbor.clients.api", "keystoneauth.session", "keystoneauth.identity"):
            logging.getLogger(name).debug("said by %s", name)
        return super().resources()


def test_debug_tells_no_bodies_of_requests() -> None:
    """keystoneauth's own DEBUG would: user data of servers, passwords that Nova makes up."""
    told = run(Speaking(), "--debug", "resources").stderr
    assert "said by karbor.clients.api" in told
    assert "said by keystoneauth" not in told
    assert "said by" not in run(Speaking(), "resources").stderr


def test_what_proves_nothing_says_none() -> None:
    bare = checkpoint(kept={})
    listing = CheckpointListing(found=[bare], unreadable=[])
    assert "none" in run(FakeLocal([(DONE, [])], listing=listing), "checkpoint", "list").stdout
    shown = run(FakeLocal(listing=listing), "checkpoint", "show", bare.name).stdout
    assert "evidence    none" in shown


def test_on_a_terminal_each_resource_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(progress_table, "console", lambda: Console(
        file=told, force_terminal=True, width=120, height=20))
    with progress_table.Screen() as screen:
        screen.show(operation(), [], 1001.0)
        screen.show(planned(), steps(StepState.RUNNING), 1003.0)
        screen.note("stopping …")
        screen.show(DONE, steps(), 1061.0)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told.getvalue())
    assert re.search(r"volume data.*running.*backup.*creating 40 %", plain)
    assert "protect web-1: running, 3.0 s" in plain
    assert "stopping …" in plain
    assert re.search(r"protect web-1: done, 1 min 1 s", plain)


def test_a_small_terminal_shows_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(progress_table, "console", lambda: Console(
        file=told, force_terminal=True, width=120, height=7))
    many = ResourceGraph.build([Resource(VOLUME, f"v{n}", f"data-{n}") for n in range(9)],
                               lambda level: {})
    under_way = Step(0, f"{VOLUME}#v8", Hook.MAIN, "backup", state=StepState.RUNNING)
    with progress_table.Screen() as screen:
        screen.show(planned(plan={"graph": many.to_dict()}), [under_way], 1003.0)
    assert "volume data-8" in told.getvalue()
    assert "… and 6 more" in told.getvalue()
