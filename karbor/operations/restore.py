"""Restore: a checkpoint into new resources, beside the old ones or instead of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from karbor.domain.checkpoint import Checkpoint, CheckpointState
from karbor.domain.errors import Conflict
from karbor.domain.operation import Operation, Verb
from karbor.domain.resource import Resource
from karbor.domain.step import Step, StepState
from karbor.engine.runner import Planned
from karbor.operations.execution_context import Provider
from karbor.operations.preliminary_checks import vault_key
from karbor.operations.protect import by_type, refuse
from karbor.operations.run import Run
from karbor.operations.selection import short
from karbor.operations.step_graph import build_steps
from karbor.plugin.cloud import Cloud
from karbor.plugin.protection import Obstacle, Stages, Target

RESTORES_LOOKED_AT = 200    # operations of the project, the newest first


class Restore:
    """Everything missing at the target is found while planning, before anything is made."""

    fail_fast = True

    def plan(self, run: Run) -> Planned:
        checkpoint = restorable(run.checkpoint)
        if run.lookup is None:
            refuse(f"checkpoint {checkpoint.name or checkpoint.id} cannot be restored as it stands",
                   [*vault_key(run.setting.provider, checkpoint.project_id),
                    *obstacles(checkpoint, run.setting.provider, target(run))])
        steps = build_steps(checkpoint.graph, lambda resource: self.stages(run, resource))
        return Planned({"graph": checkpoint.graph.to_dict()}, steps, checkpoint.id)

    def stages(self, run: Run, resource: Resource) -> Stages:
        return run.protection(resource).restore(resource)

    def keeps(self, run: Run) -> bool:
        return bool(run.operation.request.get("keep"))

    def finish(self, run: Run, steps: Sequence[Step]) -> Mapping[str, Any]:
        return {"checkpoint_id": run.operation.checkpoint_id, "restored": made(run, steps)}

    def abandon(self, run: Run, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        if not run.operation.plan:
            return {}
        return {"checkpoint_id": run.operation.checkpoint_id,
                "kept" if self.keeps(run) else "removed": made(run, steps)}


def origins(earlier: Iterable[Operation]) -> dict[str, str]:
    """Return where things come from that restores have made, by their ids."""
    found: dict[str, str] = {}
    for operation in earlier:
        if operation.verb is not Verb.RESTORE:
            continue
        name = str(operation.request.get("name") or operation.checkpoint_id)
        for restored in operation.result.get("restored", ()):
            found.update({str(each["id"]): f"by the restore of {name}"
                          for each in (restored, *(restored.get("created") or ()))
                          if each.get("id")})
    return found


def restorable(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint itself, or Conflict with what it is instead."""
    if checkpoint.state is not CheckpointState.AVAILABLE:
        why = f": {checkpoint.reason}" if checkpoint.reason else ""
        raise Conflict(f"checkpoint {checkpoint.name or checkpoint.id} is {checkpoint.state}{why}",
                       remedy="only an available checkpoint can be used")
    return checkpoint


def target(run: Run) -> Target:
    return make_target(run.checkpoint, run.cloud, run.parameters,
                       run.operation.request.get("map", {}))


def make_target(checkpoint: Checkpoint, cloud: Cloud, parameters: Any,
                mapping: Mapping[str, str]) -> Target:
    def kept(stage: str, resource: Resource) -> Mapping[str, Any]:
        found = checkpoint.kept.get(resource.key)
        return found.saved.get(stage, {}) if found else {}

    return Target(cloud, checkpoint.graph, kept, parameters, mapping)


def obstacles(checkpoint: Checkpoint, provider: Provider, to: Target) -> list[Obstacle]:
    """Everything that would make restoring fail, found without touching anything."""
    found: list[Obstacle] = []
    for type, resources in by_type(checkpoint.graph).items():
        protection = provider.protections.get(type)
        if protection is None:
            found.append(Obstacle(f"no protection plugin for {type} is installed"))
        else:
            found.extend(protection.restore_obstacles(resources, to))
    return found


def preview(checkpoint: Checkpoint, provider: Provider, to: Target) -> list[tuple[Resource, str]]:
    """What a restore would make or re-use, a line each."""
    return [(resource, line) for resource in checkpoint.graph.parents_first()
            for line in provider.protections[resource.type].restore_preview(resource, to)]


def not_restored(result: Mapping[str, Any]) -> Iterator[str]:
    """What a restore could not give back, a line each."""
    for one in result.get("restored", ()):
        for told in one.get("not_restored", ()):
            what = told.get("field") or told.get("what") or ""
            yield (f"{short(one['type'])} {one['name'] or one['old_id']}: {what}"
                   + (f": {told['why']}" if told.get("why") else ""))


def made(run: Run, steps: Sequence[Step]) -> list[dict[str, Any]]:
    """What exists (or existed, before it was undone) because of this operation."""
    out = []
    for step in steps:
        if not step.resource or step.state is StepState.WAITING:
            continue
        known = {**step.handle, **step.saved}
        if known:
            resource = run.graph[step.resource]
            out.append({"type": resource.type, "old_id": resource.id, "name": resource.name,
                        "within": resource.within, "stage": step.stage, "state": step.state,
                        **known})
    return out
