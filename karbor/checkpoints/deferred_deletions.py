"""Things that a deleted checkpoint still has in the cloud, because others were built upon them.

Cinder refuses to delete a backup on which incremental ones were built. The checkpoint is hidden at
once; the backup is recorded here, and the first later operation that finds it free takes it away
(see sweeping).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from karbor.domain.errors import ObjectMissing
from karbor.plugin.bank import Bank, Section


class DeferredDeletions:
    """What one project's deleted checkpoints have left behind on purpose."""

    def __init__(self, bank: Bank, project_id: str) -> None:
        self._section = Section(bank, f"projects/{project_id}/tombstones")

    def add(self, type: str, id: str, facts: Mapping[str, Any]) -> None:
        kind = type.rsplit("::", 1)[-1].lower()
        body = {"format": 1, "type": type, "id": id, **facts}
        self._section.put(f"{kind}-{id}.json", [json.dumps(body, sort_keys=True).encode()])

    def all(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return name and facts of each deferred deletion."""
        found: list[tuple[str, Mapping[str, Any]]] = []
        for stored in self._section.all():
            try:
                found.append((stored.key, json.loads(b"".join(self._section.get(stored.key)))))
            except ObjectMissing:
                continue        # another process has just removed it
        return found

    def remove(self, name: str) -> None:
        self._section.delete([name])
