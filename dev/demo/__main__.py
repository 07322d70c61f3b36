"""`make demo`: build an application, protect it, destroy it, restore it, compare.

    python -m dev.demo

Exit status 0 and a last line `demo: OK …`, or 1 and what differed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.demo import place as places
from dev.demo.application import Trouble, build, destroy
from dev.demo.place import PREFIX, Place
from dev.demo.portrait import differences, portrait, size


class Story:
    """Says what is done, and how many token lives it took."""

    def __init__(self, token_life: int) -> None:
        self.begin = time.monotonic()
        self._token_life = token_life

    def lives(self, since: float | None = None) -> float:
        return (time.monotonic() - (since or self.begin)) / self._token_life

    @contextmanager
    def chapter(self, what: str) -> Iterator[None]:
        print(f"\n── {what}", flush=True)
        start = time.monotonic()
        yield
        print(f"   {time.monotonic() - start:.0f} s, {self.lives(start):.1f} token lives",
              flush=True)


def karbor(place: Place, conf: Path, *words: str) -> dict:
    """Run the real command; its progress goes to the terminal, its answer is JSON."""
    line = ["karbor", "--config-file", str(conf), "--os-cloud", "demo", "--format", "json", *words]
    print("   $ karbor --os-cloud demo " + " ".join(words), flush=True)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "karbor"), *line[1:]], stdout=subprocess.PIPE,
        text=True, check=False, env={"OS_CLIENT_CONFIG_FILE": str(place.clouds_yaml),
                                     "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})
    if done.returncode:
        raise Trouble(f"karbor {words[0]} ended with {done.returncode}")
    return json.loads(done.stdout)


def play(place: Place, story: Story) -> list[str]:
    """The whole story; returns what differed."""
    cloud = place.connect()
    conf = places.configure(place)
    with story.chapter("tidying up after an earlier demonstration"):
        print(f"   {destroy(cloud, addresses_too=True)} things removed")
    with story.chapter("building an application: 2 servers, 3 volumes, a network, an address"):
        application = build(cloud, place)
        before = portrait(cloud, place)
        print(f"   {PREFIX}web answers at {application.address}; {size(before)} facts taken down")
    with story.chapter("protecting it"):
        protected = karbor(place, conf, "protect", f"{PREFIX}web", f"{PREFIX}db", "--name", "shop")
        checkpoint = protected["checkpoint_id"]
    with story.chapter("destroying it (the floating address stays allocated)"):
        print(f"   {destroy(cloud)} things removed")
    with story.chapter("restoring it"):
        karbor(place, conf, "restore", checkpoint)
    with story.chapter("comparing every byte, attachment and address"):
        after = portrait(cloud, place)
        wrong = differences(before, after)
        print(f"   {size(after)} facts compared")
    return wrong


def main() -> int:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    place = places.find()
    story = Story(place.token_life)
    print(f"Tokens of this cloud live {place.token_life} s.")
    try:
        wrong = play(place, story)
    except Trouble as trouble:
        print(f"\ndemo: FAILED: {trouble}", file=sys.stderr)
        return 1
    if wrong:
        print("\ndemo: FAILED: the restored application differs:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in wrong), file=sys.stderr)
        return 1
    took = time.monotonic() - story.begin
    print(f"\ndemo: OK: 2 servers, 4 disks byte for byte, attachments, fixed and floating "
          f"addresses, networks and rules are the same; {took:.0f} s, "
          f"{story.lives():.0f} token lives of {place.token_life} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
