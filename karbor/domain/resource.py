"""Resource and ResourceGraph: what is protected, and what belongs to what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karbor.domain.errors import KarborError

PROJECT = "OS::Keystone::Project"
SERVER = "OS::Nova::Server"
VOLUME = "OS::Cinder::Volume"
IMAGE = "OS::Glance::Image"
NETWORK = "OS::Neutron::Network"
SHARE = "OS::Manila::Share"
DATABASE = "OS::Trove::Instance"
POD = "OS::Kubernetes::Pod"

TYPES = (DATABASE, IMAGE, NETWORK, POD, PROJECT, SERVER, SHARE, VOLUME)
"""Every type that the REST API v1 knows, in the order of Karbor 1.x (its entry points')."""


def dependents_rank(type: str) -> int:
    """Return the key by which the dependents of a resource are sorted, as Karbor 1.x gave them: a
    server's image, then its volumes, and the network topology, which belongs to many, behind
    everything else."""
    if type == NETWORK:
        return len(TYPES) + 1
    return TYPES.index(type) if type in TYPES else len(TYPES)


@dataclass(frozen=True)
class Resource:
    """Something in the cloud that can be protected.

    Identity is (type, id, within); the name and the facts may change without making another
    resource of it. `within` is the id of the server whose *own copy* this is: two servers booted
    from one image have two disks, so two resources of type OS::Glance::Image with one id.
    """

    type: str
    id: str
    name: str = field(default="", compare=False)
    within: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    @property
    def key(self) -> str:
        """The identity as text: `TYPE#ID` or `TYPE#ID@WITHIN`."""
        return f"{self.type}#{self.id}" + (f"@{self.within}" if self.within else "")

    @property
    def labels(self) -> frozenset[str]:
        """What its owner has tagged it with, as far as its protectable says so: tags as they are,
        metadata as `KEY=VALUE`."""
        return frozenset(self.facts.get("labels", ()))

    def __str__(self) -> str:
        return f"{self.type} {self.name or self.id}"

    def to_dict(self) -> dict[str, Any]:
        return {"type": self.type, "id": self.id, "name": self.name, "within": self.within,
                "facts": dict(self.facts)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Resource:
        return cls(raw["type"], raw["id"], raw.get("name", ""), raw.get("within", ""),
                   raw.get("facts", {}))


def labels_of(tags: Iterable[Any], metadata: Mapping[str, Any]) -> list[str]:
    """Return what stands in `facts["labels"]`: tags as they are, metadata as `KEY=VALUE`; see
    Resource.labels."""
    return sorted({str(tag) for tag in tags} | {f"{key}={value}" for key, value in
                                                metadata.items()})


Discover = Callable[[Sequence[Resource]], Mapping[str, Sequence[Resource]]]
"""Of *all* resources of one level at once: parent key → its dependents."""


class CycleFound(KarborError):
    """Resources depend on each other in a circle."""


class ResourceGraph:
    """Resources and who depends on whom; a parent is protected together with its children."""

    def __init__(self) -> None:
        self._resources: dict[str, Resource] = {}
        self._children: dict[str, list[str]] = {}
        self.roots: list[str] = []

    @classmethod
    def build(cls, start: Sequence[Resource], discover: Discover) -> ResourceGraph:
        """Follow dependents level by level, so that a discoverer can answer a level in bulk.

        Roots are the start resources that are nobody's child. Raises CycleFound, and whatever
        `discover` raises: a listing that failed must not look like a smaller application.
        """
        graph = cls()
        level = list({resource.key: resource for resource in start}.values())
        for resource in level:
            graph._add(resource)
        while level:
            found = discover(level)
            following: list[Resource] = []
            for parent in level:
                for child in found.get(parent.key, ()):
                    if child.key not in graph._resources:
                        graph._add(child)
                        following.append(child)
                    if child.key not in graph._children[parent.key]:
                        graph._children[parent.key].append(child.key)
            level = following
        graph._find_roots([resource.key for resource in start])
        list(graph.parents_first())     # raises on a cycle
        return graph

    def _add(self, resource: Resource) -> None:
        self._resources[resource.key] = resource
        self._children[resource.key] = []

    def _find_roots(self, start: Sequence[str]) -> None:
        below = {child for children in self._children.values() for child in children}
        self.roots = [key for key in dict.fromkeys(start) if key not in below]
        if not self.roots and self._resources:
            raise CycleFound("every resource depends on another one: "
                             + ", ".join(self._resources))

    def __len__(self) -> int:
        return len(self._resources)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())

    def __contains__(self, key: str) -> bool:
        return key in self._resources

    def __getitem__(self, key: str) -> Resource:
        return self._resources[key]

    def children(self, key: str) -> list[Resource]:
        """Return what `key` brings with it, in the order found."""
        return [self._resources[child] for child in self._children[key]]

    def parents(self, key: str) -> list[Resource]:
        return [self._resources[parent] for parent, children in self._children.items()
                if key in children]

    def of_type(self, type: str) -> list[Resource]:
        return [resource for resource in self if resource.type == type]

    def parents_first(self) -> Iterator[Resource]:
        """Yield every resource once, none before all of its parents. Raises CycleFound."""
        missing = dict.fromkeys(self._resources, 0)
        for children in self._children.values():
            for child in children:
                missing[child] += 1
        ready = [key for key, count in missing.items() if count == 0]
        seen = 0
        while ready:
            key = ready.pop(0)
            seen += 1
            yield self._resources[key]
            for child in self._children[key]:
                missing[child] -= 1
                if missing[child] == 0:
                    ready.append(child)
        if seen < len(self._resources):
            stuck = [key for key, count in missing.items() if count > 0]
            raise CycleFound("these resources depend on each other in a circle: "
                             + ", ".join(stuck))

    def to_dict(self) -> dict[str, Any]:
        return {"resources": [resource.to_dict() for resource in self],
                "children": {key: list(c) for key, c in self._children.items() if c},
                "roots": list(self.roots)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ResourceGraph:
        graph = cls()
        for resource in raw["resources"]:
            graph._add(Resource.from_dict(resource))
        for key, children in raw["children"].items():
            graph._children[key] = list(children)
        graph.roots = list(raw["roots"])
        return graph
