"""Protect: an application into a checkpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from karbor.domain.checkpoint import Checkpoint, CheckpointState, Evidence, Kept
from karbor.domain.errors import BankError, NoLastingCredential, Obstacles, why
from karbor.domain.operation import Verb
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Hook, Step
from karbor.engine.runner import Planned
from karbor.operations import estimate
from karbor.operations.discovery import discover
from karbor.operations.execution_context import Provider
from karbor.operations.left_over import left_by
from karbor.operations.parameters import applicable, asked_parameters, check
from karbor.operations.preliminary_checks import vault_key
from karbor.operations.run import Run
from karbor.operations.selection import resolve, short
from karbor.operations.step_graph import RELEASE, build_steps
from karbor.plugin import registry
from karbor.plugin.cloud import Cloud
from karbor.plugin.protectable import DiscoveryLists
from karbor.plugin.protection import Obstacle, Protection, Stage, Stages


class Protect:
    """Verification is part of it: `available` is said only after a read-back."""

    fail_fast = True

    def plan(self, run: Run) -> Planned:
        operation = run.operation
        graph = run.lookup.graph if run.lookup is not None else self._look_up(run)
        parameters = self._parameters(run, graph)
        run.checkpoints.begin(self._checkpoint(run, graph, CheckpointState.PROTECTING,
                                               parameters=parameters))
        steps = build_steps(graph, lambda resource: self.stages(run, resource))
        return Planned({"graph": graph.to_dict(), "parameters": parameters,
                        "size": estimate.size_of(graph)}, steps, operation.checkpoint_id)

    def _look_up(self, run: Run) -> ResourceGraph:
        """Return all that is to be protected. Raise NoLastingCredential, Obstacles."""
        listings = DiscoveryLists(run.cloud)
        graph = discover(run.cloud, run.setting.protectables, self._start(run, listings), listings)
        self._require_time(run, graph)
        refuse(f"{run.operation.request['name']} cannot be protected as it stands",
               [*vault_key(run.setting.provider, run.operation.project_id),
                *obstacles(graph, run.setting.provider, run.cloud)])
        return graph

    @staticmethod
    def _start(run: Run, listings: DiscoveryLists) -> list[Resource]:
        """What a person named was looked up when they asked; what a plan names is looked up now."""
        request = run.operation.request
        if "plan_id" in request:
            return resolve(request["resources"], request["selectors"], run.setting.protectables,
                           listings)
        return [Resource.from_dict(resource) for resource in request["resources"]]

    @staticmethod
    def _require_time(run: Run, graph: ResourceGraph) -> None:
        """Only now it is known how much a plan comes to. Raises NoLastingCredential while nothing
        has been made."""
        until = run.operation.credential.get("until")
        if "plan_id" not in run.operation.request or until is None:
            return
        needed = estimate.seconds(Verb.PROTECT, estimate.size_of(graph), (),
                                  run.setting.slowest_rate)
        left = until - run.setting.clock()
        if needed > left:
            raise NoLastingCredential(
                f"it is expected to take {needed / 3600:.1f} h, and the credential that it runs on "
                f"has {max(0.0, left) / 3600:.1f} h left",
                remedy="give Karbor a credential that lasts longer (karbor credential register), "
                       "or tell it how quick this cloud is: [credentials] slowest_rate")

    @staticmethod
    def _parameters(run: Run, graph: ResourceGraph) -> Mapping[str, Any]:
        request = run.operation.request
        given = request.get("parameters", {})
        if "plan_id" in request:
            protections = run.setting.provider.protections
            given = applicable(given, Verb.PROTECT, graph, protections)
            check(given, Verb.PROTECT, graph, protections)
        return dict(given)

    def stages(self, run: Run, resource: Resource) -> Stages:
        protection = run.protection(resource)
        proofs = [stage for stages in protection.verify(resource).values() for stage in stages]
        return {**protection.protect(resource), Hook.VERIFY: proofs}

    def keeps(self, run: Run) -> bool:
        return False

    def finish(self, run: Run, steps: Sequence[Step]) -> Mapping[str, Any]:
        graph = run.graph
        kept = {resource.key: self._kept(run, resource, steps) for resource in graph}
        checkpoint = self._checkpoint(
            run, graph, CheckpointState.AVAILABLE, kept=kept,
            skew=self._skew(run, steps), finished_at=run.setting.clock())
        run.checkpoints.conclude(checkpoint)
        evidence = run.checkpoints.show(checkpoint.id).evidence
        notes = notes_of(run, steps)
        return {"checkpoint_id": checkpoint.id, "resources": len(graph),
                "skew": checkpoint.skew, "evidence": evidence,
                **({"notes": notes} if notes else {})}

    def abandon(self, run: Run, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        if not run.operation.plan:
            with suppress(BankError):   # it may be what kept the operation from being planned
                run.checkpoints.forget(run.operation.checkpoint_id)
            return {}       # it never came to a checkpoint
        now = run.setting.clock()
        run.checkpoints.fail(self._checkpoint(
            run, run.graph, CheckpointState.ERROR, reason=why(error), finished_at=now,
            left=left_by(steps)), now)
        return {"checkpoint_id": run.operation.checkpoint_id}

    @staticmethod
    def _checkpoint(run: Run, graph: ResourceGraph, state: CheckpointState, *,
                    kept: Mapping[str, Kept] | None = None, skew: float | None = None,
                    reason: str = "", finished_at: float | None = None,
                    parameters: Mapping[str, Any] | None = None,
                    left: Sequence[Mapping[str, Any]] = ()) -> Checkpoint:
        operation = run.operation
        return Checkpoint(
            operation.checkpoint_id, operation.project_id, operation.request["name"],
            operation.created_at, state, graph, kept or {},
            asked_parameters(operation) if parameters is None else parameters,
            operation.id, run.setting.provider.id, finished_at, skew, reason,
            operation.request.get("origin", {}), left)

    def _kept(self, run: Run, resource: Resource, steps: Sequence[Step]) -> Kept:
        """What the steps of one resource saved; temporary things leave nothing behind."""
        stages = self.stages(run, resource)
        temporary = {stage.name for group in stages.values() for stage in group
                     if isinstance(stage, Stage) and stage.temporary}
        saved: dict[str, Mapping[str, Any]] = {}
        not_kept: list[Mapping[str, str]] = []
        proofs: list[Mapping[str, Any]] = []
        for step in steps:
            if step.resource != resource.key or step.stage.startswith(RELEASE):
                continue
            if step.hook is Hook.VERIFY:
                proofs.append(step.saved)
                found = {name: value for name, value in step.saved.items()
                         if name not in ("evidence", "unproved")}
                if found:       # for a later verify to compare with
                    saved[step.stage] = found
            elif step.stage not in temporary:
                saved[step.stage] = step.saved
                not_kept.extend(step.saved.get("not_kept", ()))
        weakest = min((Evidence(proof["evidence"]) for proof in proofs if proof.get("evidence")),
                      key=lambda evidence: evidence.rank, default=None)
        unproved = "; ".join(proof["unproved"] for proof in proofs if proof.get("unproved"))
        if not any(saved.values()) and weakest is None and not unproved:
            saved = {}      # it was found to have nothing of its own: nothing is to prove
        return Kept(resource.key, saved, weakest, unproved, tuple(not_kept))

    def _skew(self, run: Run, steps: Sequence[Step]) -> float | None:
        """Return the seconds between the creation times that services tell of the first and the
        last snapshot; None where there is no snapshot, or one whose time no service tells."""
        times = []
        for step in steps:
            if step.resource and step.releases is None:
                stages = self.stages(run, run.graph[step.resource])
                if any(isinstance(stage, Stage) and stage.name == step.stage
                       for stage in stages.get(Hook.PREPARE_FINISH, ())):
                    times.append(created_at(step.saved))
        known = [time for time in times if time is not None]
        return max(known) - min(known) if known and len(known) == len(times) else None


def created_at(saved: Mapping[str, Any]) -> float | None:
    """Return when a service says that a thing was made, in seconds since the epoch. (Cinder and
    Manila write UTC and leave its sign out.)"""
    try:
        moment = datetime.fromisoformat(str(saved.get("created_at")))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def notes_of(run: Run, steps: Sequence[Step]) -> list[str]:
    """What was done in another way than it was asked for, a sentence each."""
    return [f"{short(resource.type)} {resource.name or resource.id}: {step.saved['note']}"
            for step in steps if step.resource and step.saved.get("note")
            for resource in (run.graph[step.resource],)]


def obstacles(graph: ResourceGraph, provider: Provider, cloud: Cloud) -> list[Obstacle]:
    """Everything that would make protecting the graph fail, found without touching anything. A
    protectable that cannot be loaded is an obstacle: what it finds might belong to the graph, and
    a checkpoint without it would say nothing of that."""
    found = [Obstacle(f"the protectable {broken.name} cannot be loaded ({broken.why}), so what it "
                      "finds would be missing", remedy="mend or uninstall the package that brings "
                      "it") for broken in registry.broken(registry.PROTECTABLES)]
    for type, resources in by_type(graph).items():
        protection = provider.protections.get(type)
        if protection is None:
            found.append(Obstacle(f"provider {provider.name} has no protection for {type}",
                                  remedy="choose another provider, or other resources"))
        elif any(_unproved(protection, resource) for resource in resources):
            found.append(Obstacle(f"the protection of {type} does not say how it would read back "
                                  "what it keeps", remedy="choose another provider: a checkpoint "
                                  "is worth what is proved of it"))
        else:
            found.extend(protection.protect_obstacles(resources, cloud))
    return found


def preview(graph: ResourceGraph, provider: Provider) -> list[tuple[Resource, str]]:
    """What ought to be known beforehand, a line each."""
    return [(resource, line) for resource in graph.parents_first()
            for line in provider.protections[resource.type].protect_preview(resource)]


def _unproved(protection: Protection, resource: Resource) -> bool:
    """Whether it would leave something behind and never look at it again."""
    keeps = any(not (isinstance(stage, Stage) and stage.temporary)
                for stages in protection.protect(resource).values() for stage in stages)
    return keeps and not any(protection.verify(resource).values())


def by_type(graph: ResourceGraph) -> dict[str, list[Resource]]:
    groups: dict[str, list[Resource]] = defaultdict(list)
    for resource in graph:
        groups[resource.type].append(resource)
    return dict(groups)


def refuse(message: str, found: Sequence[Obstacle]) -> None:
    """Raise Obstacles when there are any."""
    if found:
        raise Obstacles(message, [
            {"what": obstacle.what, "remedy": obstacle.remedy, "map_from": obstacle.map_from,
             "resource": obstacle.resource} for obstacle in found])


