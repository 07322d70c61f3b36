"""Restore of a server: its ports, then itself with its disks, then its floating addresses."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from karbor.domain.errors import (
    BadInput,
    CloudConflict,
    CloudForbidden,
    QuotaExceeded,
    RemoteFailed,
    WorkInterrupted,
)
from karbor.domain.resource import IMAGE, NETWORK, VOLUME
from karbor.domain.step import Again, Done, Outcome, Progress, Wait
from karbor.plugin.cosmetics import Cosmetics
from karbor.plugin.protection import Task, Work
from karbor.protections import json_document
from karbor.protections.cached_lists import CachedLists
from karbor.protections.neutron import marks
from karbor.protections.nova import request_bodies
from karbor.protections.nova.floating_addresses import give_addresses, place
from karbor.protections.nova.ports import make_ports
from karbor.protections.nova.server_groups import find_or_make
from karbor.protections.nova.undo import find_server, spares_volumes, undo
from karbor.protections.nova_input import split_metadata

Record = dict[str, Any]

HOPELESS = ("no valid host", "exceeded maximum number of retries", "quota",
            "maximum number of ports")
"""Words by which Nova says that the next server would fail as this one did."""


class RebuildServer(Task):
    """Each entry does what is missing, and finds by mark what earlier entries made.

    Ports and floating addresses bear the mark in their description, the server in its metadata
    (`karbor_mark`), or in its description where the metadata are full. The marks are taken off only
    after the handle, with every id, is in the journal; from then on the ids are enough. What it
    cannot give back as it was stands in `not_restored`, field by field.
    """

    name = "server"

    def __init__(self, object: str) -> None:
        self.object = object

    def run(self, work: Work) -> Outcome:
        document = json_document.read(work.bank, self.object)
        build = _Build(work, document)
        for phase in (build.group, build.ports, build.server, build.active, build.attached,
                      build.addresses, build.stopped):
            again = phase()
            if again is not None:
                return again
        if not work.handle.get("built"):
            return Again(0.0, {**build.state, "built": True})
        return build.settle()

    def undo(self, work: Work) -> Outcome:
        return undo(work)


class _Build:
    """One entry. A phase returns None when it is over, else what to tell the driver."""

    def __init__(self, work: Work, document: Record) -> None:
        self.work = work
        self.document = document
        self.nova = work.cloud.api("nova")
        self.neutron = work.cloud.api("neutron")
        self.chosen: Mapping[str, str] = work.parameters.get("map") or {}
        self.state: Record = {"ports": {}, "made_ports": [], "floating": {}, "made_floating": [],
                              "addresses": {}, "not_restored": [], **work.handle}
        self.version = CachedLists(work.cloud).nova_version()

    def tell(self, field: str, why: str) -> None:
        one = {"field": field, "why": why}
        if one not in self.state["not_restored"]:
            self.state["not_restored"] = [*self.state["not_restored"], one]

    def group(self) -> Outcome | None:
        kept = self.document["group"]
        if "group" in self.state or not kept:
            return None
        found = find_or_make(self.nova, kept, self.chosen, self.version,
                             may_make=bool(self.state.get("group_wanted")))
        if found is None:       # nothing bears a mark here, so the intention is written down first
            return Again(0.0, {**self.state, "group_wanted": True})
        self.state["group"] = found
        return None

    def ports(self) -> Outcome | None:
        if len(self.state["ports"]) < len(self.document["ports"]):
            make_ports(self.neutron, self.work.mark, self.document["ports"],
                       maps=self._maps(), automatic=self._automatic(), chosen=self.chosen,
                       state=self.state, tell=self.tell)
        return None

    def _maps(self) -> Mapping[str, Any]:
        wanted = self.work.parameters.get("restore_net_id")
        if not wanted:
            return self._topology()
        # Without subnets no kept address is asked for: it would mean nothing there.
        return {**self._topology(), "subnets": {},
                "networks": {port["network_id"]: wanted for port in self.document["ports"]}}

    def _topology(self) -> Mapping[str, Any]:
        """Return the new ids, by the old ones, of everything of Neutron that the server may be
        on."""
        return next((saved for resource in self.work.graph.of_type(NETWORK)
                     if (saved := self.work.saved("topology", resource))), {})

    def _automatic(self) -> set[str]:
        kept = [
            self.work.kept("topology", resource) for resource in self.work.graph.of_type(NETWORK)
        ]
        return {subnet["id"] for one in kept
                for subnet in [*one.get("subnets", ()), *(
                    each for reference in one.get("references", ())
                    for each in reference["subnets"])] if subnet.get("automatic")}

    def server(self) -> Outcome | None:
        if "server" in self.state:
            return None
        found = None
        if self.work.entered_before or self.work.handle:
            found = find_server(self.work)
        self.state["server"] = found or self._create()
        return Again(self.work.cloud.first_poll_delay("nova.server"), self.state,
                     Progress(text="the server is being built"))

    def _create(self) -> str:
        kept = self.document["server"]
        parameters = self.work.parameters
        flavor = request_bodies.choose_flavor(
            kept["flavor"], CachedLists(self.work.cloud).nova("/flavors/detail", "flavors"),
            self.chosen, parameters.get("restore_flavor_id") or "")
        if flavor is None:
            raise BadInput(f"there is no flavor {kept['flavor'].get('original_name')} here",
                           remedy="name another one with --map OLD=NEW",
                           resource=self.work.resource.key)
        image = self._image() if self.document["boot"] == "image" else ""
        devices = request_bodies.volumes(self.document["volumes"], self._volumes(), image)
        full = len(kept.get("metadata", {})) >= self._most_metadata()

        def post(*, mark_in_description: bool) -> str:
            body = request_bodies.server(
                self.document, name=parameters.get("restore_name") or kept["name"],
                mark=self.work.mark, flavor=flavor["id"], image=image, devices=devices,
                ports=[self.state["ports"][port["id"]] for port in self.document["ports"]],
                group=self.state.get("group", ""), version=self.version, chosen=self.chosen,
                mark_in_description=mark_in_description)
            made = self.nova.post("/servers", body, version=self.version)
            return str(made["server"]["id"])

        # Nova fetches the image and attaches the volumes with the token of this request.
        self.work.ensure_credential(self._image_bytes())
        try:
            return post(mark_in_description=full)
        except (CloudForbidden, QuotaExceeded) as error:
            if full or "metadata" not in error.message.lower():
                raise
            return post(mark_in_description=True)   # Nova's limit is another than it says

    def _most_metadata(self) -> float:
        """Return how many items of metadata a server may have here."""
        most = int(CachedLists(self.work.cloud).limits().get("maxServerMeta", -1))
        return most if most >= 0 else float("inf")

    def _image_bytes(self) -> int:
        resource = self.work.resource
        return sum(int(self.work.kept("bytes", child).get("size") or 0)
                   for child in self.work.graph.children(resource.key)
                   if child.type == IMAGE and child.within == resource.id)

    def _image(self) -> str:
        """Return the restored copy of this server's own disk."""
        resource = self.work.resource
        for child in self.work.graph.children(resource.key):
            if child.type == IMAGE and child.within == resource.id:
                saved = self.work.saved("image", child)
                if saved.get("id"):
                    return str(saved["id"])
        raise BadInput(f"the disk of server {resource.name or resource.id} was not restored, so "
                       "it cannot be built", resource=resource.key)

    def _volumes(self) -> dict[str, str]:
        resource = self.work.resource
        saved = {child.id: self.work.saved("volume", child)
                 for child in self.work.graph.children(resource.key) if child.type == VOLUME}
        found = {old: str(one["id"]) for old, one in saved.items() if one.get("id")}
        missing = [volume["id"] for volume in self.document["volumes"] if volume["id"] not in found]
        if missing:
            raise BadInput(f"volumes of server {resource.name or resource.id} were not restored: "
                           + ", ".join(missing), resource=resource.key)
        return found

    def active(self) -> Outcome | None:
        seen = self._look()
        status = str(seen.get("status", "")).upper()
        if status == "ACTIVE" or (status == "SHUTOFF" and self.state.get("stop")):
            return None
        if status == "ERROR":
            told = self.nova.get(f"/servers/{self.state['server']}", version=self.version)
            why = told["server"].get("fault", {}).get("message") or "no reason told"
            # Also where nova-compute was restarted while it built the server. Nova has looked
            # for another host by itself, so what no host can do is not asked for anew.
            hopeless = any(words in why.lower() for words in HOPELESS) or (
                not spares_volumes(self.version)
                and any(volume["delete_on_termination"] for volume in self.document["volumes"]))
            raise (RemoteFailed if hopeless else WorkInterrupted)(
                f"Nova could not build the server: {why}", resource=self.work.resource.key,
                **self._asked("nova", self.state["server"]))
        return self._wait(f"the server is {status.lower()}")

    def _look(self) -> Mapping[str, Any]:
        seen = self.work.cloud.look("nova.server", self.state["server"])
        if seen is None:
            raise RemoteFailed(f"the new server {self.state['server']} disappeared",
                               resource=self.work.resource.key,
                               **self._asked("nova", self.state["server"]))
        return seen

    def _asked(self, service: str, id: str) -> dict[str, Any]:
        return {"service": service, **self.work.cloud.asked(id)}

    def _wait(self, text: str) -> Again:
        return Again(self.work.cloud.interval("nova.server"), self.state, Progress(text=text),
                     Wait(f"Nova; {text}", "server"))

    def attached(self) -> Outcome | None:
        """Attach now, in order, what Nova has not attached while it was building the server."""
        if "attachments" in self.state or not self.document["volumes"]:
            return None
        path = f"/servers/{self.state['server']}/os-volume_attachments"
        present = {one["volumeId"]: one for one in
                   self.nova.list(path, "volumeAttachments", version=self.version)}
        new_ids = self._volumes()
        for kept in self.document["volumes"]:
            if new_ids[kept["id"]] not in present:
                body = {"volumeId": new_ids[kept["id"]],
                        "delete_on_termination": kept["delete_on_termination"],
                        **({"device": kept["device"]} if kept["device"] else {}),
                        **({"tag": kept["tag"]} if kept["tag"] else {})}
                self.nova.post(path, {"volumeAttachment": body}, version=self.version)
                return self._wait(f"volume {new_ids[kept['id']]} is being attached")
        for id in new_ids.values():
            seen = self.work.cloud.look("cinder.volume", id)
            if seen is None or str(seen.get("status")) == "error":
                raise RemoteFailed(f"volume {id} could not be attached",
                                   resource=self.work.resource.key, **self._asked("cinder", id))
            if seen.get("status") != "in-use":
                return self._wait(f"volume {id} is {seen.get('status')}")
        self.state["attachments"] = [
            {"volume": new_ids[kept["id"]], "device": present[new_ids[kept["id"]]].get("device")}
            for kept in self.document["volumes"]]
        for kept, now in zip(self.document["volumes"], self.state["attachments"], strict=True):
            if kept["device"] and now["device"] != kept["device"]:
                self.tell(f"device of volume {kept['id']}",
                          f"it was {kept['device']} and is {now['device']}")
        return None

    def addresses(self) -> Outcome | None:
        kept = [(port, one) for port in self.document["ports"] for one in port["floating"]]
        if len(self.state["floating"]) < len(kept):
            give_addresses(self.neutron, self.work.mark, kept,
                           networks=self._topology().get("networks", {}), chosen=self.chosen,
                           state=self.state, tell=self.tell)
        return None

    def stopped(self) -> Outcome | None:
        """Stop a server that was shut off; other states become ACTIVE, and that is told."""
        was = self.document["server"]["status"]
        if was != "SHUTOFF":
            if was != "ACTIVE":
                self.tell("status", f"it was {was} and is ACTIVE")
            return None
        if not self.state.get("stop"):
            return Again(0.0, {**self.state, "stop": True})
        if str(self._look().get("status")).upper() == "SHUTOFF":
            return None
        with suppress(CloudConflict):   # an earlier entry asked for it, and it is under way
            self.nova.post(f"/servers/{self.state['server']}/action", {"os-stop": None})
        return self._wait("the server is being stopped")

    def settle(self) -> Outcome:
        """Take the marks off: idempotent, and nothing is looked up by mark any more."""
        kept = self.document["server"]
        for hint in kept.get("scheduler_hints") or {}:
            if hint != "group":
                self.tell(f"scheduler hint {hint}", "it names other things, which may be gone")
        for key in split_metadata(kept.get("metadata", {}))[1]:
            self.tell(f"metadata {key}", "Nova does not take it any more")
        if kept.get("key_name") and not request_bodies.key_pair(kept, self.chosen):
            self.tell(f"key pair {kept['key_name']}", "the server was to be built without one")
        cosmetics = Cosmetics(self.work, self.state["not_restored"])
        for port in self.document["ports"]:
            id = self.state["ports"][port["id"]]
            if id in self.state["made_ports"]:
                marks.settle(self.neutron, "ports", id, port, cosmetics)
            for one in port["floating"]:
                floating = self.state["floating"].get(one["id"])
                if floating in self.state["made_floating"]:
                    marks.settle(self.neutron, "floatingips", floating, one, cosmetics,
                                 also=place(one, id, self.state))
        self._unmark(cosmetics)
        self.state["not_restored"] = cosmetics.not_restored
        if cosmetics.postponed:
            return cosmetics.again(self.state)
        return Done({"id": self.state["server"],
                     "name": self.work.parameters.get("restore_name")
                     or self.document["server"]["name"],
                     "ports": self.state["ports"], "addresses": self.state["addresses"],
                     "floating": self.state["floating"],
                     "attachments": self.state.get("attachments", []),
                     "not_restored": self.state["not_restored"]})

    def _unmark(self, cosmetics: Cosmetics) -> None:
        """Take the mark off the server; an earlier version may have put the mark in either
        place."""
        path = f"/servers/{self.state['server']}"
        why = "it still bears Karbor's mark"

        def described() -> None:
            now = self.nova.get(path, version=self.version)["server"]
            if now.get("description") == self.work.mark:
                # not None: Nova 34 answers that with an internal error
                wanted = self.document["server"].get("description") or ""
                self.nova.put(path, {"server": {"description": wanted}}, version=self.version)

        cosmetics.request("description", described, why)
        cosmetics.request("metadata", lambda: self.nova.delete(
            f"{path}/metadata/{request_bodies.MARK_KEY}"), why)
