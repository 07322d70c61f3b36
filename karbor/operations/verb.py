"""What protect, restore, verify, delete and copy each say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from karbor.domain.resource import Resource
from karbor.domain.step import Step
from karbor.engine.runner import Planned
from karbor.operations.run import Run
from karbor.plugin.protection import Stages


class VerbRules(Protocol):
    """Stateless; everything about one operation is in its Run."""

    fail_fast: bool     # whether the first failed step ends the operation

    def plan(self, run: Run) -> Planned: ...

    def stages(self, run: Run, resource: Resource) -> Stages: ...

    def keeps(self, run: Run) -> bool:
        """Whether what was made stays when the operation fails (temporary things never do)."""

    def finish(self, run: Run, steps: Sequence[Step]) -> Mapping[str, Any]: ...

    def abandon(self, run: Run, steps: Sequence[Step], error: Mapping[str, Any]
                ) -> Mapping[str, Any]: ...
