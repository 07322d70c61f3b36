"""Copy: a checkpoint from the bank of one provider into the bank of another.

The operation is one of the provider that gets the copy; what it reads is the source's. The copy is
a checkpoint of its own, and needs the original no more. What services of the cloud hold cannot be
copied: a second checkpoint that speaks of the same backup would be lost together with the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from karbor.checkpoints.repository import CheckpointRepository, section_name
from karbor.checkpoints.section_copy import Compared, Copied, Original
from karbor.domain.checkpoint import Checkpoint, CheckpointState, Evidence, Kept
from karbor.domain.checkpoint_record import CheckpointRecord
from karbor.domain.errors import BankError
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Hook, Step
from karbor.engine.runner import Planned
from karbor.operations.execution_context import Provider
from karbor.operations.preliminary_checks import vault_key
from karbor.operations.protect import by_type, refuse
from karbor.operations.restore import restorable
from karbor.operations.run import Run
from karbor.operations.selection import short
from karbor.operations.step_graph import build_steps
from karbor.plugin.protection import Obstacle, Stage, Stages, Task

COPIED_FROM = "copied_from"


class Copy:
    """`available` is said only after everything was read back from the new bank."""

    fail_fast = True

    def plan(self, run: Run) -> Planned:
        original = restorable(run.checkpoint)
        graph = original.graph
        refuse(f"checkpoint {original.name or original.id} cannot be copied",
               obstacles(original, run.source, run.setting.provider))
        run.checkpoints.begin(self._checkpoint(run, graph, CheckpointState.PROTECTING,
                                               parameters=original.parameters,
                                               origin=origin_of(original, run.source)))
        steps = build_steps(graph, lambda resource: self.stages(run, resource))
        return Planned({"graph": graph.to_dict()}, steps, run.operation.checkpoint_id)

    def stages(self, run: Run, resource: Resource) -> Stages:
        proofs = self._proofs(run, resource)
        original = partial(self._original, run, resource)
        return {Hook.MAIN: [Copied(original)],
                Hook.VERIFY: [*proofs, Compared(original, proofs)]}

    @staticmethod
    def _proofs(run: Run, resource: Resource) -> list[Stage | Task]:
        groups = run.protection(resource).verify(resource).values()
        return [stage for group in groups for stage in group]

    @staticmethod
    def _original(run: Run, resource: Resource) -> Original:
        return Original(run.originals.section(run.original_id, resource),
                        run.source.vault(run.operation.project_id))

    def keeps(self, run: Run) -> bool:
        return False

    def finish(self, run: Run, steps: Sequence[Step]) -> Mapping[str, Any]:
        identity = run.operation.checkpoint_id
        if run.checkpoints.show(identity).state is not CheckpointState.AVAILABLE:
            self._conclude(run, steps)      # else whoever did it died before it was written down
        return {"checkpoint_id": identity, "source_id": run.original_id,
                "resources": len(run.graph),
                **{what: sum(step.saved[what] for step in steps if step.stage == Copied.name)
                   for what in ("objects", "bytes")},
                "evidence": run.checkpoints.show(identity).evidence}

    def _conclude(self, run: Run, steps: Sequence[Step]) -> None:
        """The original is looked at anew: a deletion, perhaps from another machine, hides it before
        it takes the first object, so one that is available now was whole all the time."""
        original = restorable(run.originals.show(run.original_id))
        kept = {key: self._kept(run, one, steps) for key, one in original.kept.items()}
        run.checkpoints.conclude(self._checkpoint(
            run, run.graph, CheckpointState.AVAILABLE, kept=kept, skew=original.skew,
            finished_at=run.setting.clock()))

    def abandon(self, run: Run, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]:
        identity = run.operation.checkpoint_id
        if not run.operation.plan:
            with suppress(BankError):   # it may be what kept the operation from being planned
                run.checkpoints.forget(identity)
            return {}       # it never came to a checkpoint
        why = str(error.get("message", ""))
        if error.get("resource"):
            why = f"{error['resource']}: {why}"
        now = run.setting.clock()
        run.checkpoints.fail(self._checkpoint(
            run, run.graph, CheckpointState.ERROR, reason=why, finished_at=now), now)
        return {"checkpoint_id": identity}

    @staticmethod
    def _checkpoint(run: Run, graph: ResourceGraph, state: CheckpointState, **more: Any
                    ) -> Checkpoint:
        operation = run.operation
        return Checkpoint(
            operation.checkpoint_id, operation.project_id, operation.request["name"],
            operation.created_at, state, graph, operation_id=operation.id,
            provider_id=run.setting.provider.id, **more)

    def _kept(self, run: Run, original: Kept, steps: Sequence[Step]) -> Kept:
        """What was saved stays as it was said then; the proof is that of the copy."""
        names = {proof.name for proof in self._proofs(run, run.graph[original.key])}
        proofs = [step.saved for step in steps
                  if step.resource == original.key and step.stage in names]
        weakest = min((Evidence(proof["evidence"]) for proof in proofs if proof.get("evidence")),
                      key=lambda evidence: evidence.rank, default=None)
        return Kept(original.key, original.saved, weakest,
                    "; ".join(proof["unproved"] for proof in proofs if proof.get("unproved")),
                    original.not_kept)


def origin_of(original: Checkpoint | CheckpointRecord, source: Provider) -> dict[str, Any]:
    """What the original said, and where the copy comes from. `taken_at` goes on through copies of
    copies: it tells how old the data is."""
    earlier = original.origin.get(COPIED_FROM, {})
    return {**original.origin, COPIED_FROM: {
        "checkpoint_id": original.id, "provider_id": source.id,
        "taken_at": earlier.get("taken_at", original.created_at)}}


def request_of(original: Checkpoint, source: Provider, target: Provider) -> dict[str, Any]:
    """What an operation that copies is asked for."""
    return {"name": original.name, "provider_id": target.id, "source_id": original.id,
            "source_provider_id": source.id}


def obstacles(original: Checkpoint, source: Provider, target: Provider) -> list[Obstacle]:
    """Everything that would make a copy of it worthless or impossible. Reads the target's bank
    only."""
    if source.id == target.id:
        return [Obstacle(f"provider {target.name} is the one that has it",
                         remedy="name another provider")]
    if CheckpointRepository(target.bank, original.project_id).has(original.id):
        return [Obstacle(f"the bank of provider {target.name} has this very checkpoint",
                         remedy="name a provider with another bank: a copy beside the original "
                                "would be lost together with it")]
    found = [*vault_key(source, original.project_id), *vault_key(target, original.project_id)]
    for type, resources in by_type(original.graph).items():
        keeper, other = source.protections.get(type), target.protections.get(type)
        if keeper is None:
            found.append(Obstacle(f"provider {source.name} has no protection for {type} any more, "
                                  "which could say where it was kept"))
            continue
        found += [
            Obstacle(
                f"{short(type)} {resource.name or resource.id} is held by {held}, not by the bank",
                remedy="only what lies in the bank can be copied",
                resource=resource.key,
            )
            for resource in resources
            if (held := keeper.held_by(resource))
        ]
        if other is None:
            found.append(Obstacle(f"provider {target.name} has no protection for {type}",
                                  remedy="name another provider"))
        elif other.__class__ is not keeper.__class__:
            found.append(Obstacle(
                f"provider {target.name} keeps {type} in another way than it was kept "
                f"({other.__class__.__name__} instead of {keeper.__class__.__name__}), and could "
                "not restore it", remedy="name another provider"))
    return found


def preview(original: Checkpoint, source: Provider) -> tuple[list[tuple[Resource, str]], int]:
    """Return what would be copied, a line for each resource; and how many bytes in all."""
    lines, total = [], 0
    checkpoints = CheckpointRepository(source.bank, original.project_id)
    sizes = checkpoints.sizes(original.id)
    for resource in original.graph.parents_first():
        objects, size = sizes.get(section_name(resource), (0, 0))
        if not objects:
            lines.append((resource, "nothing of it lies in the bank but its record"))
            continue
        size = Original(checkpoints.section(original.id, resource),
                        source.vault(original.project_id)).size()
        total += size
        lines.append((resource,
                      f"copy {objects} object{'' if objects == 1 else 's'} ({size} bytes)"))
    return lines, total
