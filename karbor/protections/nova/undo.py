"""Removal of what a restore of a server made, and of nothing else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from karbor.domain.errors import CloudConflict, CloudNotFound
from karbor.domain.step import Again, Done, Outcome, Progress, Wait
from karbor.plugin.protection import Work
from karbor.protections import json_document
from karbor.protections.cached_lists import CachedLists
from karbor.protections.neutron.marks import marked
from karbor.protections.nova import request_bodies
from karbor.protections.nova.server_groups import remove_made

Record = dict[str, Any]

PAUSE = 2.0     # seconds until something that is still used is tried again
SPARING = 85    # of 2.85, the microversion from which on an attachment's fate may be changed
OBJECT = "server.json"


def undo(work: Work) -> Outcome:
    """Remove the server first, and only when it is gone its ports, addresses and group. Addresses
    that were the project's before are only left by it."""
    nova, neutron = work.cloud.api("nova"), work.cloud.api("neutron")
    known = work.handle
    server = known.get("server") or find_server(work)
    seen = work.cloud.look("nova.server", server) if server else None
    if seen is not None:
        if not known.get("deleting") or str(seen.get("status")).upper() == "ERROR":
            try:
                _spare_volumes(work, str(server))
                nova.delete(f"/servers/{server}")
            except CloudConflict as error:
                return Again(PAUSE, {**known, "server": server}, Progress(text=error.message),
                             Wait(f"Nova to delete server {server}: {error.message}", "removal"))
        return Again(work.cloud.interval("nova.server"),
                     {**known, "server": server, "deleting": True},
                     Progress(text="the server is being deleted"),
                     Wait(f"server {server} to be gone; it is {seen.get('status')}", "removal"))
    made = {"floatingips": set(known.get("made_floating", ())),
            "ports": set(known.get("made_ports", ()))}
    if not known.get("built"):
        for kind, ids in made.items():
            ids.update(marked(neutron.list(f"/{kind}", kind), work.mark).values())
    try:
        for kind, ids in made.items():
            for id in sorted(ids):
                neutron.delete(f"/{kind}/{id}")
    except CloudConflict as error:
        return Again(PAUSE, progress=Progress(text=f"still in use: {error.message}"), wait=Wait(
            f"ports and addresses to be deletable: {error.message}", "removal"))
    if known.get("group_wanted"):
        remove_made(nova, json_document.read(work.bank, OBJECT)["group"],
                    CachedLists(work.cloud).nova_version())
    return Done()


def _spare_volumes(work: Work, server: str) -> None:
    """Keep the volumes when the server goes. They are made and removed by steps of their own, and
    the next try needs them: they do not go with a server that failed. (Nova changes this from 2.85
    on.)"""
    nova, path = work.cloud.api("nova"), f"/servers/{server}/os-volume_attachments"
    version = CachedLists(work.cloud).nova_version()
    if not spares_volumes(version):
        return
    with suppress(CloudNotFound):       # it is going already
        for one in nova.list(path, "volumeAttachments", version=version):
            if one.get("delete_on_termination"):
                nova.put(f"{path}/{one['volumeId']}", {"volumeAttachment": {
                    "volumeId": one["volumeId"], "delete_on_termination": False}})


def spares_volumes(version: str) -> bool:
    """Return whether a Nova of this microversion can be told to leave volumes when their server
    goes."""
    return int(version.split(".")[1]) >= SPARING


def find_server(work: Work) -> str | None:
    """Return the server that bears this step's mark, in either of its places."""
    found = work.cloud.api("nova").list("/servers/detail", "servers",
                                        version=CachedLists(work.cloud).nova_version())
    return next((one["id"] for one in found if work.mark in (
        one.get("metadata", {}).get(request_bodies.MARK_KEY), one.get("description"))), None)
