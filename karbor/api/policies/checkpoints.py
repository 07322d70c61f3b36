"""Rules of checkpoints, which the API keeps below their provider."""

from __future__ import annotations

from karbor.api.policies.personas import MEMBER, READER, rule

_ALL = "/providers/{provider_id}/checkpoints"
_ONE = f"{_ALL}/{{checkpoint_id}}"

RULES = [
    rule("provider:checkpoint_get", READER, "Show a checkpoint.", ("GET", _ONE)),
    rule("provider:checkpoint_get_all", READER, "List checkpoints.", ("GET", _ALL)),
    rule("provider:checkpoint_create", MEMBER, "Protect now: create a checkpoint.",
         ("POST", _ALL)),
    rule("provider:checkpoint_delete", MEMBER, "Delete a checkpoint.", ("DELETE", _ONE)),
    rule("provider:checkpoint_update", MEMBER, "Reset the state of a checkpoint.", ("PUT", _ONE)),
    rule("copy:create", MEMBER, "Copy checkpoints.", ("POST", f"{_ALL}/action")),
]
