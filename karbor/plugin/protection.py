"""Protection: how resources of some types are kept, restored, verified and deleted.

A protection declares, per verb and resource, **stages** for each hook. Karbor does the rest:
order, threads, waiting, deadlines, retries, adoption after a crash, undoing. The process may be
killed between any two lines of a plugin; what obliges its author because of that is said below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from karbor.domain.checkpoint import Evidence
from karbor.domain.resource import Resource, ResourceGraph
from karbor.domain.step import Done, Hook, Outcome, Progress
from karbor.plugin.bank import Section
from karbor.plugin.cloud import Cloud
from karbor.plugin.vault_location import VaultLocation

DAY = 24 * 3600.0
UNSAID = "a place that its protection plugin does not name"


class Work(Protocol):
    """Everything a stage may use. Made anew for every entry; holds nothing between entries."""

    @property
    def resource(self) -> Resource: ...

    @property
    def graph(self) -> ResourceGraph: ...

    @property
    def cloud(self) -> Cloud: ...

    @property
    def bank(self) -> Section:
        """The resource's own part of its checkpoint in the bank."""

    @property
    def vault(self) -> VaultLocation:
        """Where the project's vault is: for `karbor.vault.DiskVault`, which keeps disks in it."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters for this resource, checked against the options schema."""

    @property
    def mark(self) -> str:
        """Unique per operation, resource and stage, stable over crashes; at most 200 characters.
        Whatever a stage makes in the cloud must bear it *from the request that creates it*."""

    @property
    def handle(self) -> Mapping[str, Any]:
        """The handle that an earlier entry of this step left with Again(handle=…)."""

    @property
    def entered_before(self) -> bool:
        """Whether an earlier entry may have sent its request without hearing the answer."""

    @property
    def checkpoint_id(self) -> str: ...

    @property
    def operation_id(self) -> str: ...

    def saved(self, stage: str, resource: Resource | None = None) -> Mapping[str, Any]:
        """Return what a stage of this operation saved, of this resource or of another one ({}
        when it has not, or not yet: hooks and their order say what may be relied upon)."""

    def kept(self, stage: str, resource: Resource | None = None) -> Mapping[str, Any]:
        """Return, for restore, verify, delete and copy, what a stage of the *protect* had saved in
        the checkpoint."""

    def ensure_credential(self, size: int | None) -> None:
        """Say it right before the request that has a service move `size` bytes (None: nobody knows)
        with the token of that request: Cinder for a backup, Nova for an image. The request then
        bears a token that outlasts the work, where one can be had. (For the dry run the class of
        the stage says that it does so: `lends_token`.) Raises a transient CredentialError when
        Keystone cannot be asked for one now."""

    def report(self, progress: Progress) -> None:
        """Tell how far a long entry has come. Cheap; may be called often."""

    @property
    def stopping(self) -> bool:
        """Whether the process wants to end: a long entry should return Again soon."""


class Stage(ABC):
    """Makes one thing in the cloud and waits for it.

    `create` is entered only after the journal says so; when the process dies before its answer is
    written down, `find` is asked first at the next entry. Methods are called from a thread of a
    small pool and must return in seconds. Raise errors of the CloudError family as they come;
    transient ones are retried by Karbor, others fail the operation, which is then undone.
    """

    name: ClassVar[str]
    kind: ClassVar[str]                         # what Cloud.look understands, e.g. cinder.backup
    ready: ClassVar[frozenset[str]]
    failed: ClassVar[frozenset[str]] = frozenset({"error"})
    temporary: ClassVar[bool] = False           # removed when the resource's main hook is over
    limit: ClassVar[str] = ""                   # only so many at once: an option of this name
    deadline: ClassVar[float] = DAY             # seconds from the first entry
    waits: ClassVar[str] = ""                   # the option of [waits] that bounds its waiting
    rests_on: ClassVar[str] = ""                # a stage that is made anew together with this one
    absent_is_error: ClassVar[bool] = True
    lends_token: ClassVar[bool] = False         # see Work.ensure_credential

    @abstractmethod
    def create(self, work: Work) -> str:
        """Send the request; return the id. The thing bears work.mark from the beginning."""

    @abstractmethod
    def find(self, work: Work) -> Sequence[str]:
        """Return the ids of all things that bear work.mark. Read-only. Usually there is one at
        most; a second one exists when a request was still under way in the service while it was
        looked for. Karbor removes what is superfluous."""

    @abstractmethod
    def delete(self, work: Work, id: str) -> None:
        """Ask for its removal; idempotent. Karbor waits until it is gone, and calls again when the
        service says that its state forbids deletion for now (CloudConflict)."""

    def status(self, seen: Mapping[str, Any]) -> str:
        """Return the state within what Cloud.look returned."""
        return str(seen.get("status", "")).lower()

    def failure(self, seen: Mapping[str, Any]) -> str:
        """Return why it failed, in the service's words if it has any."""
        return str(seen.get("fail_reason") or "")

    def may_succeed_anew(self, seen: Mapping[str, Any]) -> bool:
        """Return whether a thing that failed so may be ready at the next try, as it may when its
        service was only restarted. It is then removed and made anew, a few times."""
        return True

    def given_up(self, work: Work, id: str, seen: Mapping[str, Any]) -> str:
        """Return why a thing that is neither ready nor failed will be neither any more; empty
        while it may. Asked at every look; when it says so twice, the thing is deleted and made
        anew."""
        return ""

    def never_deleted(self, work: Work, id: str, seen: Mapping[str, Any]) -> str:
        """Return why a thing whose deletion was refused will stay in this state for ever, so
        that no waiting helps; empty while it may change. Believed when it is said twice."""
        return ""

    def progress(self, seen: Mapping[str, Any]) -> Progress:
        return Progress(text=self.status(seen))

    def finished(self, work: Work, id: str, seen: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what to save of a thing that is ready; called once it is. May make idempotent
        finishing requests."""
        return {"id": id}


class Task(ABC):
    """What does not fit a Stage: a stream of bytes, several requests that belong together.

    When it raises WorkInterrupted, or fails with it, `undo` is called until all is gone, and `run`
    begins anew, with an empty handle, a few times.

    What it saves as `note` (a sentence) is told as what was done in another way than asked for:
    at the end, in events and with the checkpoint.

    `run` is **re-entered, never blocked**: it returns Again(after, handle) instead of waiting, and
    is called again with that handle, also after a crash (then with `work.entered_before`). What it
    makes must be found again by mark. `carries` tasks move bytes and run in a pool of their own;
    they should return within minutes, or look at `work.stopping` between pieces.
    """

    name: ClassVar[str]
    carries: ClassVar[bool] = False
    limit: ClassVar[str] = ""
    lends_token: ClassVar[bool] = False         # see Work.ensure_credential
    rests_on: ClassVar[str] = ""    # a stage of the same resource that is made anew with this one

    @abstractmethod
    def run(self, work: Work) -> Outcome: ...

    def undo(self, work: Work) -> Outcome:
        """Remove what `run` made, also when it was cut off anywhere; re-entered like `run`."""
        return Done()


Stages = Mapping[Hook, Sequence[Stage | Task]]


@dataclass(frozen=True)
class Obstacle:
    """Something that would make a restore (or protect) fail. `map_from` is the old name or id that
    `--map OLD=NEW` can answer, if any."""

    what: str
    remedy: str = ""
    map_from: str = ""
    resource: str = ""


@dataclass(frozen=True)
class Proof:
    """What a read-back proved of one resource."""

    evidence: Evidence
    unproved: str = ""          # why it goes no further


@dataclass(frozen=True)
class Target:
    """What a restore is checked against before anything is made."""

    cloud: Cloud
    graph: ResourceGraph
    kept: Callable[[str, Resource], Mapping[str, Any]]      # (stage, resource) → saved
    parameters: Callable[[Resource], Mapping[str, Any]]
    mapping: Mapping[str, str] = field(default_factory=dict)   # --map OLD=NEW


class Protection(ABC):
    """One way to keep resources of some types. Stateless: made once, used from many threads.

    The stages returned must depend on nothing but the resource: after a restart they are asked for
    again and matched by name.
    """

    types: ClassVar[frozenset[str]]

    def protect(self, resource: Resource) -> Stages:
        return {}

    def restore(self, resource: Resource) -> Stages:
        return {}

    def verify(self, resource: Resource) -> Stages:
        """Return the stages that read back what was kept; each saves {"evidence": …, "unproved":
        …}. They are also the last steps of a protect: `available` is said only after them."""
        return {}

    def remove(self, resource: Resource) -> Stages:
        """Return the stages that delete what a checkpoint holds of the resource (its bank section
        is removed by Karbor itself). An entry sends one request that removes something, and leaves
        a handle as soon as that was accepted: so a stage that fails at its first entry without a
        handle has removed nothing, and a deletion of which that is true of all stages is taken
        back."""
        return {}

    def intact(self, resources: Sequence[Resource], target: Target) -> bool:
        """Return whether everything that a checkpoint holds of these outside of the bank is
        still there as it was kept. Asked after a deletion that failed: where nothing was
        removed, the checkpoint is shown again. Read-only, in bulk; False in doubt."""
        return not any(
            stages for resource in resources for stages in self.remove(resource).values()
        )

    def held_by(self, resource: Resource) -> str:
        """Return who holds what is kept of the resource, as the object of "it is held by …": the
        name of a service of the cloud; "" when all of it lies in the resource's section of the
        bank, so that a copy of the section is a copy of what was kept. A plugin that does not say
        so is taken to keep things elsewhere, and what it keeps is not copied."""
        return UNSAID if any(self.protect(resource).values()) else ""

    def delete_deferred(self, facts: Mapping[str, Any], cloud: Cloud) -> bool:
        """Try to remove what a `remove` stage had to leave: the `deferred` facts that it saved
        (`id` and whatever else it needs). True when it is gone, False when it is still needed or
        still going: Karbor forgets what is gone, and asks again for the rest."""
        return False

    def protect_obstacles(self, resources: Sequence[Resource], cloud: Cloud) -> Sequence[Obstacle]:
        """Return why protecting these would fail, found without touching anything, in bulk."""
        return ()

    def protect_preview(self, resource: Resource) -> Sequence[str]:
        """Return what whoever protects this ought to know beforehand, a line each: how it is
        kept, where that is less than one might think."""
        return ()

    def stored_bytes(self, resource: Resource) -> int | None:
        """Return how many bytes a protect writes into the bank of this resource at most, where
        that is known beforehand; None where it is not, or where a service keeps them."""
        return None

    def optional(self, saved: Mapping[str, Mapping[str, Any]]) -> Collection[str]:
        """Return the old names that a restore of one resource can do without, from what the stages
        of its protect saved: `--map OLD=` leaves them out."""
        return ()

    def restore_obstacles(self, resources: Sequence[Resource], target: Target
                          ) -> Sequence[Obstacle]:
        """Return why restoring these would fail, found without touching anything, in bulk."""
        return ()

    def restore_preview(self, resource: Resource, target: Target) -> Sequence[str]:
        """Return what a restore would create or re-use, a line each, for the dry run. No line
        says that it makes nothing of the resource: a protection that does not tell must not say
        that."""
        return (f"its protection ({type(self).__name__}) does not say what would be made",)

    def options_schema(self, verb: str) -> Mapping[str, Any]:
        """Return the JSON Schema of the parameters this protection takes for a verb."""
        return {"type": "object", "properties": {}, "additionalProperties": False}
