"""What is killed: an operation from its beginning to its end, and how it must look then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter

from tests.chaos import application
from tests.chaos.commands import Ended
from tests.chaos.scene import PROTECT, Scene, created, difference, remaining


class Verb(ABC):
    """`start` names what is brought back before each run, `another` is an operation that somebody
    may begin afterwards; `twice` is the kind of which one more was made, and removed again."""

    start: str
    twice: str = ""
    another: tuple[str, ...] = ("protect", "app-image", "--name", "another")

    def begin(self, scene: Scene) -> tuple[str, ...]:
        """Whatever comes before; returns the command that is to be killed."""
        raise NotImplementedError

    def finish(self, scene: Scene, argv: tuple[str, ...], since: str | None) -> Ended:
        """What a person does after the crash. `since` was the newest operation before it."""
        return scene.home.finish(*argv, since=since)

    @abstractmethod
    def check(self, scene: Scene, ended: Ended, start: dict[str, int], mark: int) -> None:
        """`start` is what there was when it began, `mark` the length of the ledger then."""


class Protect(Verb):
    start = "built"

    def begin(self, scene: Scene) -> tuple[str, ...]:
        return PROTECT

    def check(self, scene: Scene, ended: Ended, start: dict[str, int], mark: int) -> None:
        assert ended.code == 0, ended
        listed = scene.home.json("checkpoint", "list")
        assert [one["state"] for one in listed].count("available") == 1, listed
        state = scene.double.dump()
        backups = state["cinder.backup"].values()
        assert sorted(one["volume_id"] for one in backups) == sorted(
            [scene.app.data, scene.app.root])
        assert {one["sha256"] for one in backups} == {
            state["cinder.volume"][id]["sha256"] for id in (scene.app.data, scene.app.root)}
        made = difference(start, remaining(scene.double))
        assert made.pop("swift.object") >= 6
        assert made == {"cinder.backup": 2, "swift.container": 1}
        ever = created(scene.double, mark)
        ever -= Counter([self.twice])
        assert (ever["cinder.snapshot"], ever["cinder.backup"], ever["glance.image"]) == (2, 2, 1)


def restored(scene: Scene, start: dict[str, int], mark: int, twice: str = "") -> None:
    """The application is there again, once, and complete."""
    double, state = scene.double, scene.double.dump()
    servers = {one["name"]: one for one in state["nova.server"].values()}
    assert {name: one["status"] for name, one in servers.items()} == {
        "web": "ACTIVE", "db": "ACTIVE"}
    assert double.read("nova.server", servers["web"]["id"]) == application.DISK
    assert servers["web"]["metadata"] == {"role": "front"}
    assert servers["web"]["key_name"] == "app-key"
    for server, volume, data in (("web", "app-data", application.DATA),
                                 ("db", "app-root", application.ROOT)):
        attached = [state["cinder.volume"][one["id"]] for one in servers[server]["volumes"]]
        assert [one["name"] for one in attached] == [volume]
        assert double.read("cinder.volume", attached[0]["id"]) == data
        assert attached[0]["status"] == "in-use"
    ports = {one["id"]: one for one in state["neutron.port"].values()}
    for name, address in application.ADDRESSES.items():
        mine = [ports[one["port"]] for one in servers[name]["nics"]]
        assert [[fixed["ip_address"] for fixed in one["fixed_ips"]] for one in mine] == [[address]]
    floating = state["neutron.floatingip"][scene.app.floating]
    assert ports[floating["port_id"]]["device_id"] == servers["web"]["id"]
    groups = [one for one in state["neutron.security_group"].values() if one["name"] == "app-web"]
    assert len(groups) == 1
    rules = [one["port_range_min"] for one in state["neutron.security_group_rule"].values()
             if one["security_group_id"] == groups[0]["id"] and one["direction"] == "ingress"]
    assert sorted(rules) == [80, 443]
    assert groups[0]["description"] == "what web lets in"
    marked = [(kind, name) for kind, records in state.items() for record in records.values()
              for name, value in record.items()
              if kind not in {"cinder.backup", "swift.object"} and "karbor:" in str(value)]
    assert marked == []
    made = difference(start, remaining(double))
    assert made == {"nova.server": 2, "cinder.volume": 2, "glance.image": 1, "neutron.network": 1,
                    "neutron.subnet": 1, "neutron.router": 1, "neutron.port": 4,
                    "neutron.security_group": 1, "neutron.security_group_rule": 4}
    ever = created(double, mark) - Counter([twice])
    assert {kind: ever[kind] for kind in made} == made


class Restore(Verb):
    start = "destroyed"
    another = ("verify", "safe")

    def begin(self, scene: Scene) -> tuple[str, ...]:
        return "restore", "safe"

    def check(self, scene: Scene, ended: Ended, start: dict[str, int], mark: int) -> None:
        assert ended.code == 0, ended
        restored(scene, start, mark, self.twice)


class Delete(Verb):
    start = "protected"

    def begin(self, scene: Scene) -> tuple[str, ...]:
        return "checkpoint", "delete", "safe", "--yes"

    def check(self, scene: Scene, ended: Ended, start: dict[str, int], mark: int) -> None:
        assert ended.code == 0, ended
        assert difference(remaining(scene.double), start).keys() == {"cinder.backup",
                                                                     "swift.object"}
        state = scene.double.dump()
        assert "cinder.backup" not in state
        assert "swift.object" not in state
        assert scene.home.json("checkpoint", "list") == []


class Cancel(Verb):
    """A protect was killed when all its things had been made; whoever is told to cancel it undoes
    them."""

    start = "built"

    def begin(self, scene: Scene) -> tuple[str, ...]:
        def arm(pid: int) -> None:
            scene.double.fault("kill-after", pid=pid, method="POST", path="/v3/backups$", nth=2)

        assert scene.home.karbor(*PROTECT, before=arm).killed
        scene.double.heal()
        newest = scene.home.newest()
        assert newest
        return "operation", "cancel", newest[0]

    def finish(self, scene: Scene, argv: tuple[str, ...], since: str | None) -> Ended:
        newest = scene.home.newest()
        if newest and newest[1] == "cancelled":
            return Ended(1, "", "it was cancelled already")
        return scene.home.karbor(*argv)

    def check(self, scene: Scene, ended: Ended, start: dict[str, int], mark: int) -> None:
        newest = scene.home.newest()
        assert newest, ended
        assert newest[1] == "cancelled", (newest, ended)
        made = difference(start, remaining(scene.double))
        made.pop("swift.container", None)       # Cinder makes it and leaves it
        assert made == {}
        listed = scene.home.json("checkpoint", "list")
        assert "available" not in [one["state"] for one in listed]
