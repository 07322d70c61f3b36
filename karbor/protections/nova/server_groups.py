"""Server groups of Nova: they bear neither metadata nor tags, and cannot be renamed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from karbor.plugin.cloud import Api

Record = dict[str, Any]

_one_at_a_time = threading.Lock()
"""Servers of one group are restored in several threads of one process: the first makes it, the
others find it."""


def find_or_make(api: Api, kept: Record, chosen: Mapping[str, str], version: str, *,
                 may_make: bool) -> str | None:
    """Return the id of the group to build in: the mapped one, the kept one, or one of the same
    name and policy. None when there is none and it may not be made: a caller must write its
    intention down first, since nothing but the name will tell that the group is its own."""
    with _one_at_a_time:
        wanted = chosen.get(kept["name"]) or chosen.get(kept["id"])
        present = api.list("/os-server-groups", "server_groups", version=version)
        same = [one for one in present if one["id"] == (wanted or kept["id"])] or \
            [one for one in present if one["name"] == (wanted or kept["name"])
             and one.get("policy") == kept.get("policy")]
        if same:
            return str(same[0]["id"])
        if not may_make:
            return None
        body = {"name": kept["name"], "policy": kept["policy"]}
        if kept.get("rules"):
            body["rules"] = kept["rules"]
        made = api.post("/os-server-groups", {"server_group": body}, version=version)
        return str(made["server_group"]["id"])


def remove_made(api: Api, kept: Record, version: str) -> None:
    """Undo a wanted group: remove the one of that name if no server is left in it. One that still
    has members is left to the undo of the last of them. The kept original is never it."""
    with _one_at_a_time:
        for one in api.list("/os-server-groups", "server_groups", version=version):
            if (one["name"] == kept["name"] and one["id"] != kept["id"]
                    and one.get("policy") == kept.get("policy") and not one.get("members")):
                api.delete(f"/os-server-groups/{one['id']}")
