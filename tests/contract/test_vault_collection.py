"""Garbage is collected while disks are written, read and deleted, in every order of their calls:
no disk that was said to be kept ever lacks a byte, and what nothing needs goes in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from karbor.domain.errors import BankUnavailable, ObjectDamaged, ObjectMissing
from karbor.plugin.bank import Section
from karbor.plugin.vault_location import VaultLocation
from karbor.vault import DiskVault, KeptDisk, disk_writer, pack_writer
from karbor.vault.blocks import CHUNK_BYTES
from karbor.vault.collection import CollectionReport, collect
from tests.contract.vault_actors import Actor, ActorsBank, LateBank

HOUR = 3600.0
CHUNKS = {letter: random.Random(letter).randbytes(CHUNK_BYTES) for letter in "abcdefxyz"} | {
    "0": bytes(CHUNK_BYTES)}


def body_of(letters: str) -> bytes:
    return b"".join(CHUNKS[letter] for letter in letters)


class World:
    """Writers, readers and collectors over one bank, and a clock that is moved by hand."""

    def __init__(self, late: float) -> None:
        self.now = time.time()
        self.late = late
        self.bank = LateBank(lambda: self.now, lambda: self.late)
        self.actors: list[tuple[str, Actor]] = []
        self.kept: dict[str, str] = {}          # checkpoint → letters; said to be kept
        self.checkpoints = 0
        self.collected = 0
        self.write("abcdef")            # of which most will be garbage
        self.actors[0][1].run()
        self._settle()
        self.delete(0)
        self.now += 25 * HOUR

    def location(self, bank: ActorsBank | LateBank) -> VaultLocation:
        return VaultLocation(Section(bank, "projects/p"))

    def vault(self, bank: ActorsBank | LateBank, checkpoint: str) -> DiskVault:
        return DiskVault(self.location(bank),
                         Section(bank, f"projects/p/resources/{checkpoint}/image-1"), workers=1,
                         clock=lambda: self.now)

    # ------------------------------------------------------------------ who begins
    def write(self, letters: str) -> None:
        self.checkpoints += 1
        checkpoint = f"c{self.checkpoints}"
        self._begin_writing(checkpoint, letters)

    def _begin_writing(self, checkpoint: str, letters: str) -> None:
        self.actors.append((f"write {checkpoint} {letters}", Actor(
            self.bank, lambda bank: self.vault(bank, checkpoint).store(
                "bytes", lambda offset: self._stream(letters, offset, bank),
                size=len(letters) * CHUNK_BYTES))))

    @staticmethod
    def _stream(letters: str, offset: int, bank: ActorsBank) -> Iterator[bytes]:
        for letter in letters[offset // CHUNK_BYTES:]:
            bank.wait_for_turn()        # a source may be slow
            yield CHUNKS[letter]

    def read(self) -> None:
        if self.kept:
            checkpoint, letters = list(self.kept.items())[-1]
            self.actors.append((f"read {checkpoint} {letters}", Actor(
                self.bank, lambda bank: b"".join(
                    self.vault(bank, checkpoint).open("bytes").read()))))

    def collect(self) -> None:
        self.actors.append(("collect", Actor(self.bank, lambda bank: collect(
            self.location(bank), clock=lambda: self.now))))

    # ------------------------------------------------------------------ what happens to them
    def step(self, which: int, calls: int) -> None:
        if not self.actors:
            return
        at = which % len(self.actors)
        for _ in range(calls):
            self.actors[at][1].step()
        self._settle()

    def kill(self, which: int) -> None:
        """Kill an actor; a writer is begun anew, as the engine does."""
        if not self.actors:
            return
        what, actor = self.actors.pop(which % len(self.actors))
        actor.kill()
        if actor.error is None:
            self._ended(what, actor)
        elif what.startswith("write"):
            _, checkpoint, letters = what.split()
            self._begin_writing(checkpoint, letters)

    def wait(self, hours: float, calls: int, collect_then: bool) -> None:
        """Let hours pass, everybody make some calls, and then perhaps a whole collection."""
        self.now += hours * HOUR
        for _, actor in self.actors:
            for _ in range(calls):
                actor.step()
        self._settle()
        if collect_then:
            self.collected += collect(self.location(self.bank),
                                      clock=lambda: self.now).removed_packs

    def delete(self, which: int) -> None:
        if not self.kept:
            return
        checkpoint = sorted(self.kept)[which % len(self.kept)]
        del self.kept[checkpoint]
        section = Section(self.bank, f"projects/p/resources/{checkpoint}/image-1")
        section.delete(["bytes/disk.json"])

    def _settle(self) -> None:
        for what, actor in list(self.actors):
            if actor.finished:
                self.actors.remove((what, actor))
                self._ended(what, actor)

    def _ended(self, what: str, actor: Actor) -> None:
        verb, *told = what.split()
        if verb == "write":
            checkpoint, letters = told
            if isinstance(actor.result, KeptDisk):
                self.kept[checkpoint] = letters
            else:       # its lease was declared dead: the engine begins anew
                assert isinstance(actor.error, BankUnavailable), actor.error
                self._begin_writing(checkpoint, letters)
        elif verb == "read":
            checkpoint, letters = told
            if checkpoint in self.kept:
                assert actor.error is None, f"{checkpoint}: {actor.error}"
                assert actor.result == body_of(letters)
            else:       # deleted meanwhile: an error is right, other bytes never are
                assert actor.result == body_of(letters) or isinstance(
                    actor.error, ObjectMissing | ObjectDamaged), actor.error
        else:
            assert isinstance(actor.result, CollectionReport), actor.error

    # ------------------------------------------------------------------ what must hold
    def prove(self) -> None:
        """Every disk that was said to be kept has all its bytes."""
        for checkpoint, letters in self.kept.items():
            assert b"".join(self.vault(self.bank, checkpoint).open("bytes").read()) == body_of(
                letters), checkpoint

    def finish(self) -> None:
        """Let everybody come to the end; then collect until nothing is left to collect."""
        for _ in range(50):
            if not self.actors:
                break
            self.actors[0][1].run()
            self._settle()
        assert not self.actors
        self.prove()
        for _ in range(8):
            self.now += 25 * HOUR
            collect(self.location(self.bank), clock=lambda: self.now)
            self.prove()
        self.now += self.late
        needed = {letter for letters in self.kept.values() for letter in letters} - {"0"}
        stored = sum(one.size for one in self.bank.list("projects/p/vault/packs/"))
        pages = len(set(self.kept.values()))
        # A pack may be half dead, and several writers may each have stored a chunk.
        assert stored <= (2 * len(needed) * max(1, self.checkpoints)) * (CHUNK_BYTES + 300) + (
            pages * 2000)
        if not self.kept:
            assert stored == 0
        leases = self.bank.list("projects/p/vault/leases/")
        assert leases == []


ACTIONS = st.lists(st.one_of(
    st.tuples(st.just("write"), st.text("abcdef0", min_size=1, max_size=6)),
    st.tuples(st.just("write"), st.sampled_from(["abcdef", "abcabc", "aabb"])),
    st.tuples(st.just("collect")),
    st.tuples(st.just("read")),
    st.tuples(st.just("step"), st.integers(0, 5), st.sampled_from([1, 1, 2, 5, 20])),
    st.tuples(st.just("kill"), st.integers(0, 5)),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    *[st.tuples(st.just("wait"), st.sampled_from([2.0, 9.0, 11.0, 11.0, 25.0]),
                st.sampled_from([0, 1, 2, 4]),
                st.sampled_from([True, True, True, False]))] * 8,
), min_size=12, max_size=40)
"""`wait` is frequent: only where hours pass is anything condemned, declared dead, or removed."""


@pytest.fixture(autouse=True, scope="module")
def tiny_packs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_writer, "PACK_BYTES", 2 * CHUNK_BYTES)
        patch.setattr(pack_writer, "UPLOADS", 1)
        patch.setattr(disk_writer, "BLOCK_BYTES", CHUNK_BYTES)
        yield


# Not shrunk: what a thread does beside the bank is not drawn, so a shorter example may not fail.
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck),
          phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(first=st.sampled_from(["abcdef", "abc", "fed", "aabb", "xyz"]), calls=st.integers(0, 25),
       actions=ACTIONS, late=st.sampled_from([0.0, 0.0, 1800.0]))
def test_no_order_of_calls_loses_a_byte(first: str, calls: int, actions: list[tuple[object, ...]],
                                        late: float) -> None:
    """`first` is written by somebody who has come so many `calls` far when the garbage is
    condemned."""
    world = World(late)
    try:
        world.write(first)
        world.step(0, calls)
        world.wait(0.0, 0, collect_then=True)
        for name, *arguments in actions:
            getattr(world, str(name))(*arguments)
        event(f"packs removed on the way: {min(world.collected, 3)}")
        world.finish()
    finally:
        for _, actor in world.actors:
            actor.kill()
