"""Lists that many resources of one operation need: asked for once, not once per resource."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from karbor.domain.errors import CloudForbidden, CloudNotFound
from karbor.plugin.cloud import Api, Cloud
from karbor.plugin.list_cache import list_cache, name_of_list

Record = dict[str, Any]

_NEWEST_NOVA = (2, 100)     # the newest microversion whose answers are understood here
_OLDEST_NOVA = (2, 79)      # Train: embedded flavor, tags, delete_on_termination


def standing(cloud: Cloud, service: str, kind: str, ids: Iterable[str]) -> dict[str, str]:
    """Return the states of backups or snapshots by their ids, in lower case; `gone` for those
    that the service does not have. One list; what it lacks is asked for by itself, since only
    that tells that it is gone."""
    wanted = set(ids)
    if not wanted:
        return {}       # the cloud may not even have such a service
    api = cloud.api(service)
    found = {str(one["id"]): str(one["status"]).lower()
             for one in api.list(f"/{kind}s/detail", f"{kind}s")}
    for id in sorted(wanted - set(found)):
        try:
            found[id] = str(api.get(f"/{kind}s/{id}")[kind]["status"]).lower()
        except CloudNotFound:
            found[id] = "gone"
    return {id: found[id] for id in wanted}


class CachedLists:
    """What is listed through one Cloud; see `AskedOnce`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.asked = list_cache(cloud)

    def _api(self, service: str) -> Api:
        return self._cloud.api(service)

    def _list(self, service: str, path: str, key: str, version: str | None = None) -> list[Record]:
        return self.asked.ask(name_of_list(service, path, version),
                              lambda: self._api(service).list(path, key, version=version))

    def neutron(self, kind: str) -> list[Record]:
        """Return a collection of Neutron: networks, subnets, ports, routers, security-groups, …"""
        return self._list("neutron", f"/{kind}", kind.replace("-", "_"))

    def volumes(self) -> dict[str, Record]:
        """Return the project's volumes by id."""
        return {volume["id"]: volume for volume in self.cinder("/volumes/detail", "volumes")}

    def cinder(self, path: str, key: str) -> list[Record]:
        return self._list("cinder", path, key)

    def nova(self, path: str, key: str) -> list[Record]:
        return self._list("nova", path, key, self.nova_version())

    def servers(self) -> dict[str, Record]:
        """Return the project's servers by id, each with its flavor, tags and the names of its
        volumes."""
        return {server["id"]: server for server in self.nova("/servers/detail", "servers")}

    def server(self, id: str) -> Record | None:
        """Return a server as `servers` shows it; one that the list lacks is asked for by itself.
        None when it is gone."""
        if (listed := self.servers().get(id)) is not None:
            return listed
        try:
            found: Record = self._api("nova").get(f"/servers/{id}",
                                                  version=self.nova_version())["server"]
        except CloudNotFound:
            return None
        return found

    def key_pairs(self) -> dict[str, Record]:
        """Return the caller's own key pairs by name (Nova keeps them per user, not per project)."""
        wrapped = self.nova("/os-keypairs", "keypairs")
        return {one["keypair"]["name"]: one["keypair"] for one in wrapped}

    def nova_version(self) -> str:
        """Return the newest microversion that both this cloud and this code understand."""
        def ask() -> str:
            told = self._api("nova").get("/")["version"].get("version") or "2.1"
            major, minor = (int(part) for part in told.split("."))
            chosen = max(min((major, minor), _NEWEST_NOVA), _OLDEST_NOVA)
            return f"{chosen[0]}.{chosen[1]}"
        version: str = self.asked.ask("nova version", ask)
        return version

    def volume_metadata_keys(self) -> frozenset[str] | None:
        """Return the keys of the users' metadata of all volumes of the project; None where
        Cinder does not tell (before microversion 3.36)."""
        def ask() -> frozenset[str] | None:
            try:
                told = self._api("cinder").get("/volumes/summary")["volume-summary"]
            except (CloudForbidden, CloudNotFound):
                return None
            return frozenset(told["metadata"]) if "metadata" in told else None
        found: frozenset[str] | None = self.asked.ask("cinder metadata", ask)
        return found

    def limits(self) -> Record:
        """Return Nova's absolute limits and what is used of them."""
        found: Record = self.asked.ask("nova limits", lambda: self._api("nova").get("/limits"))
        absolute: Record = found["limits"]["absolute"]
        return absolute

    def network_quota(self, project_id: str) -> dict[str, tuple[int, int | None]]:
        """Return for each kind of Neutron's things the limit (-1 for none) and how many are used
        (None: not told)."""
        def ask() -> dict[str, tuple[int, int | None]]:
            api = self._api("neutron")
            try:
                told = api.get(f"/quotas/{project_id}/details")["quota"]
                return {kind: (one["limit"], one["used"] + one.get("reserved", 0))
                        for kind, one in told.items()}
            except (CloudForbidden, CloudNotFound):
                told = api.get(f"/quotas/{project_id}")["quota"]
                return {kind: (limit, None) for kind, limit in told.items()
                        if isinstance(limit, int)}
        found: dict[str, tuple[int, int | None]] = self.asked.ask("neutron quota", ask)
        return found
