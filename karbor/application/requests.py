"""Requests: what a person, a program or a schedule asks of Karbor, a type for each verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karbor.domain.caller import Caller
from karbor.operations.execution_context import Provider
from karbor.operations.parameters import Parameters
from karbor.operations.selection import Selector
from karbor.plugin.cloud import Cloud
from karbor.plugin.delegation import Delegation


@dataclass(frozen=True)
class RequestContext:
    """Who asks, what they can pass on to an operation, and what they see of the cloud.

    Without a `cloud` a request is accepted at once and without a look at it, as programs and
    schedules want it: what a look would have found is found while the operation is planned.
    `expected` is for how many seconds they say it will take; None: it is estimated."""

    caller: Caller
    delegation: Delegation
    cloud: Cloud | None = None
    expected: float | None = None


@dataclass(frozen=True)
class ProtectRequest:
    """A person names resources by `words`, which are looked up at once. A plan has an id, and
    `resources` (with `type`, `id` and `name`) and `selectors` that are looked up when it is
    planned. `origin` is what the checkpoint shall remember of what asked for it (see Checkpoint).
    Ids are given by who may ask twice for the same."""

    words: Sequence[str] = ()
    name: str = ""
    parameters: Parameters = field(default_factory=dict)
    plan_id: str = ""
    resources: Sequence[Mapping[str, Any]] = ()
    selectors: Sequence[Selector] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    operation_id: str = ""
    checkpoint_id: str = ""


@dataclass(frozen=True)
class RestoreOptions:
    """How a restore differs from the plain one. `mapping` are the answers of `--map OLD=NEW`,
    `names` are new names by the old name, id or key of a resource."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    new_networks: bool = False
    keep: bool = False
    parameters: Parameters = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RestoreRequest:
    """`checkpoint` is a name or an id with a look at the cloud, a whole id without. `target` is the
    address of Keystone that a program named; None: it named none."""

    checkpoint: str
    options: RestoreOptions = field(default_factory=RestoreOptions)
    target: str | None = None


@dataclass(frozen=True)
class VerifyRequest:
    """`checkpoint` as in RestoreRequest."""

    checkpoint: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class DeleteRequest:
    """`checkpoint` as in RestoreRequest; `operation_id` is given by who may ask twice."""

    checkpoint: str
    operation_id: str = ""


@dataclass(frozen=True)
class CopyRequest:
    """`checkpoint` as in RestoreRequest, `target` the provider whose bank gets the copy and whose
    operation it is. `copy_id` is the id of the copy, where somebody has written it down
    beforehand."""

    checkpoint: str
    target: Provider
    parameters: Parameters = field(default_factory=dict)
    copy_id: str = ""
