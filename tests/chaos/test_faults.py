"""What a cloud does to its users on a bad day: it is survived, or it is an error that says what
happened and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos import application
from tests.chaos.commands import Ended
from tests.chaos.scene import PROTECT, Scene, created, difference, remaining


@pytest.fixture
def built(scene: Scene) -> Scene:
    """The application is there, unprotected."""
    scene.home.bring_back("built")
    return scene


@pytest.fixture
def destroyed(scene: Scene) -> Scene:
    """The application is gone, its checkpoint is there."""
    scene.home.bring_back("destroyed")
    return scene


@pytest.fixture
def own_login(scene: Scene) -> Iterator[None]:
    """Operations run on the login of whoever types the commands."""
    scene.home.configure("strategy = own_login")
    yield
    scene.home.configure()


def fired(scene: Scene) -> list[int]:
    return [one["fired"] for one in scene.double.faults()]


def protected(scene: Scene, ended: Ended, mark: int) -> None:
    """It worked, once."""
    assert ended.code == 0, ended
    assert [one["state"] for one in scene.home.json("checkpoint", "list")] == ["available"]
    ever = created(scene.double, mark)
    assert (ever["cinder.snapshot"], ever["cinder.backup"], ever["glance.image"]) == (2, 2, 1)
    assert "cinder.snapshot" not in scene.double.dump()


def nothing_left(scene: Scene, before: dict[str, int], *, good: int = 0) -> None:
    """The cloud is as it was, and there are as many good checkpoints as before."""
    left = remaining(scene.double)
    if not good:
        left.pop("swift.container", None)       # Cinder makes it and leaves it
    assert left == before
    listed = scene.home.json("checkpoint", "list")
    assert [one["state"] for one in listed].count("available") == good


def broken_off(kind: str, times: int, *, nth: int = 1, reason: str = "reset on restart"
               ) -> list[dict[str, object]]:
    """So many tries of a kind, from the nth on, end in an error."""
    status = "killed" if kind == "nova.image" else "error"
    return [{"kind": kind, "nth": nth, "status": status, "reason": reason}] * times


def events(scene: Scene) -> list[str]:
    """Of the newest operation, without its changes of state and credential."""
    newest = scene.home.newest()
    assert newest
    shown = scene.home.json("operation", "show", newest[0], "--no-steps")
    return [one["text"] for one in shown["events"] if " is made anew" in one["text"]
            or " waits for " in one["text"] or " is tried again" in one["text"]]


class TestSurvived:
    @pytest.mark.parametrize("act", ["answer", "close-before", "close-after", "truncate"])
    def test_looking_fails_for_a_while(self, built: Scene, act: str) -> None:
        mark = len(built.double.ledger())
        for path in ("/volume/v3/snapshots/", "/volume/v3/backups/", "/image/v2/images/"):
            built.double.fault(act, method="GET", path=path, times=2)
        ended = built.home.karbor(*PROTECT)
        assert min(fired(built)) == 2
        protected(built, ended, mark)

    @pytest.mark.parametrize("act", ["answer", "close-before", "close-after"])
    @pytest.mark.parametrize("path", ["/v3/snapshots$", "/v3/backups$", "/action$"])
    def test_a_creating_request_is_not_answered(self, built: Scene, act: str, path: str) -> None:
        mark = len(built.double.ledger())
        built.double.fault(act, method="POST", path=path)
        ended = built.home.karbor(*PROTECT)
        assert fired(built) == [1]
        protected(built, ended, mark)

    def test_things_take_their_time(self, built: Scene) -> None:
        mark = len(built.double.ledger())
        built.double.set(looks={"*": 2})
        protected(built, built.home.karbor(*PROTECT), mark)

    @pytest.mark.parametrize("kind", ["cinder.snapshot", "cinder.backup", "nova.image"])
    def test_a_service_that_is_restarted_breaks_its_work_off(self, built: Scene, kind: str
                                                             ) -> None:
        before = remaining(built.double)
        built.double.set(outcomes=broken_off(kind, 2))
        ended = built.home.karbor(*PROTECT)
        assert ended.code == 0, ended
        assert [one["state"] for one in built.home.json("checkpoint", "list")] == ["available"]
        state = built.double.dump()
        assert len(state["cinder.backup"]) == 2     # those of the failed tries are gone
        assert "cinder.snapshot" not in state
        assert len(state["glance.image"]) == before["glance.image"]
        told = events(built)
        assert len(told) == 2, told
        stage = {"nova.image": "disk"}.get(kind, kind.removeprefix("cinder."))
        times = (1, 2) if kind == "nova.image" else (1, 1)      # there are two volumes
        assert [one.split(": ")[1] for one in told] == [
            f"{stage} is made anew ({time} of 2)" for time in times]
        assert all(one in ended.err for one in told), ended

    @pytest.mark.parametrize("kind", ["cinder.volume", "cinder.restore", "nova.server"])
    def test_a_service_that_is_restarted_breaks_the_work_of_a_restore_off(
            self, destroyed: Scene, kind: str) -> None:
        before = remaining(destroyed.double)
        destroyed.double.set(outcomes=broken_off(kind, 2))
        ended = destroyed.home.karbor("restore", "safe")
        assert ended.code == 0, ended
        made = difference(before, remaining(destroyed.double))
        assert (made["cinder.volume"], made["nova.server"]) == (2, 2)
        assert len(events(destroyed)) == 2
        volumes = destroyed.double.dump()["cinder.volume"]
        assert {one["status"] for one in volumes.values()} == {"in-use"}

    @pytest.mark.parametrize("nth", [1, 4, 7])
    def test_all_tokens_expire_in_the_middle(self, built: Scene, nth: int) -> None:
        mark = len(built.double.ledger())
        built.double.fault("expire", mutating=True, nth=nth)
        ended = built.home.karbor(*PROTECT)
        assert fired(built) == [1]
        assert 401 in [one["status"] for one in built.double.log()]
        protected(built, ended, mark)

    def test_all_tokens_expire_while_an_image_is_sent(self, destroyed: Scene) -> None:
        """A body that was refused with 401 must not be sent again as an empty one."""
        destroyed.double.fault("expire", method="PUT", path="/file$")
        ended = destroyed.home.karbor("restore", "safe")
        assert fired(destroyed) == [1]
        assert ended.code == 0, ended
        servers = destroyed.double.dump()["nova.server"].values()
        web = next(one["id"] for one in servers if one["name"] == "web")
        assert destroyed.double.read("nova.server", web) == application.DISK


class TestRefused:
    @pytest.mark.parametrize("path", ["/volume/v3/volumes/detail", "/compute/v2.1/servers/detail",
                                      "/image/v2/images", "/network/v2.0/ports"])
    @pytest.mark.parametrize("act", ["answer", "truncate"])
    def test_a_list_that_fails_is_never_a_smaller_checkpoint(self, built: Scene, path: str,
                                                             act: str) -> None:
        before = remaining(built.double)
        built.double.fault(act, method="GET", path=path, times=1000, status=500)
        ended = built.home.karbor(*PROTECT)
        assert ended.code == 4, ended
        assert ended.err.startswith("karbor: ")
        assert fired(built)[0] > 1
        built.double.heal()
        nothing_left(built, before)
        assert built.home.newest() is None
        assert built.home.json("checkpoint", "list") == []

    def test_a_quota_that_is_too_small_for_the_restore(self, destroyed: Scene) -> None:
        before = remaining(destroyed.double)
        destroyed.double.set(quotas={"cinder.volumes": 1})
        ended = destroyed.home.karbor("restore", "safe")
        assert ended.code == 2, ended
        assert "volumes" in ended.err
        nothing_left(destroyed, before, good=1)

    def test_a_quota_that_is_too_small_for_the_protect(self, built: Scene) -> None:
        before = remaining(built.double)
        built.double.set(quotas={"cinder.backups": 1})
        ended = built.home.karbor(*PROTECT)
        assert ended.code == 2, ended
        assert "backups" in ended.err
        nothing_left(built, before)


class TestFailed:
    def failed(self, scene: Scene, ended: Ended, *words: str) -> None:
        assert ended.code == 1, ended
        for word in words:
            assert word in ended.err + ended.out, ended

    def test_a_quota_that_somebody_else_used_up_meanwhile(self, built: Scene) -> None:
        before = remaining(built.double)
        built.double.fault("answer", method="POST", path="/v3/backups$", nth=2, status=413,
                           message="BackupLimitExceeded: Maximum number of backups allowed")
        self.failed(built, built.home.karbor(*PROTECT), "BackupLimitExceeded", "app-")
        assert fired(built) == [1]
        nothing_left(built, before)

    @pytest.mark.parametrize("kind", ["cinder.snapshot", "cinder.backup", "nova.image"])
    def test_a_thing_goes_to_error(self, built: Scene, kind: str) -> None:
        before = remaining(built.double)
        status = "killed" if kind == "nova.image" else "error"
        built.double.set(outcomes=broken_off(kind, 6, reason="the disks burn"))
        self.failed(built, built.home.karbor(*PROTECT), status, "app-" if "cinder" in kind else
                    "web", "POST /", "req-")
        nothing_left(built, before)

    def test_an_upload_that_glance_will_never_take_is_sent_once(self, destroyed: Scene) -> None:
        """It sent the whole image again and again: 400 was taken for an upload under way."""
        before = remaining(destroyed.double)
        destroyed.double.fault("answer", method="PUT", path="/file$", status=400, times=1000,
                               message="Signature verification failed")
        self.failed(destroyed, destroyed.home.karbor("restore", "safe"), "400",
                    "Signature verification failed")
        assert fired(destroyed) == [1]
        nothing_left(destroyed, before, good=1)

    def test_an_upload_that_glance_says_to_have_is_sent_a_few_times(self, destroyed: Scene) -> None:
        before = remaining(destroyed.double)
        destroyed.double.fault("answer", method="PUT", path="/file$", status=409, times=1000,
                               message="Image status transition is not allowed")
        self.failed(destroyed, destroyed.home.karbor("restore", "safe"), "409")
        assert fired(destroyed) == [6]
        nothing_left(destroyed, before, good=1)

    def test_a_cloud_without_cinder_backup(self, built: Scene) -> None:
        """A plain member may not ask for it beforehand."""
        before = remaining(built.double)
        built.double.set(backup_service=False)
        ended = built.home.karbor(*PROTECT)
        self.failed(built, ended, "Service not found for creating backup", "app-")
        built.double.set(backup_service=True)

        # Nor can a failed backup be deleted without the service: each one is told.
        newest = built.home.newest()
        assert newest
        assert newest[1] == "failed"
        left = built.double.dump()["cinder.backup"]
        told = str(built.home.json("operation", "show", newest[0], "--no-steps"))
        assert [one for one in left if one not in told] == []
        extra = difference(before, remaining(built.double))
        assert extra.keys() == {"cinder.backup"}

    @pytest.mark.parametrize(("kind", "nth"), [("cinder.volume", 1), ("cinder.restore", 2),
                                               ("nova.server", 1), ("nova.server", 2)])
    def test_a_restore_that_fails_is_undone(self, destroyed: Scene, kind: str, nth: int) -> None:
        before = remaining(destroyed.double)
        destroyed.double.set(outcomes=broken_off(kind, 6, nth=nth, reason="the disks burn"))
        self.failed(destroyed, destroyed.home.karbor("restore", "safe"),
                    "the disks burn" if kind == "nova.server" else "error")
        nothing_left(destroyed, before, good=1)
        floating = destroyed.double.dump()["neutron.floatingip"].values()
        assert [one["port_id"] for one in floating] == [None]

    def test_a_login_that_fails_for_now_leaves_the_operation_to_be_ended_later(
            self, built: Scene, own_login: None) -> None:
        before = built.double.dump()
        user = next(id for id, one in before["keystone.user"].items() if one["name"] == "demo")

        def arm(pid: int) -> None:
            built.double.fault("kill-after", pid=pid, method="POST", path="/v3/backups$", nth=2)

        assert built.home.karbor(*PROTECT, before=arm).killed
        built.double.heal()
        newest = built.home.newest()
        assert newest
        built.double.edit("keystone.user", user, enabled=False)
        refused = built.home.karbor("operation", "resume", newest[0])
        assert refused.code == 3, refused
        assert "Keystone refused the login of cloud demo" in refused.err
        assert built.home.json("operation", "show", newest[0], "--no-steps")["state"] == "running"

        built.double.edit("keystone.user", user, enabled=True)
        built.home.karbor("operation", "cancel", newest[0])
        shown = built.home.json("operation", "show", newest[0], "--no-steps")
        assert shown["state"] == "cancelled"
        assert "left" not in shown["result"]
        after = built.double.dump()
        for kind in ("cinder.snapshot", "cinder.backup", "glance.image"):
            assert after.get(kind, {}).keys() == before.get(kind, {}).keys()
