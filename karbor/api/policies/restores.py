"""Rules of restores."""

from __future__ import annotations

from karbor.api.policies.personas import MEMBER, READER, rule

RULES = [
    rule("restore:create", MEMBER, "Restore a checkpoint.", ("POST", "/restores")),
    rule("restore:update", MEMBER, "Change a restore. No request asks this; it is here for policy "
         "files of Karbor 1.x.", ("PUT", "/restores/{restore_id}")),
    rule("restore:get", READER, "Show a restore.", ("GET", "/restores/{restore_id}")),
    rule("restore:get_all", READER, "List restores.", ("GET", "/restores")),
]
