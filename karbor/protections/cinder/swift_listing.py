"""Which objects in Swift belong to a backup: learnt from as few lists as possible.

A container of few objects is listed as a whole, for all backups that are looked at within half a
minute. In a larger one the objects of one volume are listed from the time of the backup on; where
that does not find it, the times that there are. A list is over when a page is empty: a store may
give shorter pages than it was asked for.
"""

from __future__ import annotations

import copy
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from karbor.domain.errors import CloudError
from karbor.plugin.cloud import Api, Cloud
from karbor.plugin.list_cache import list_cache

Record = dict[str, Any]
Objects = tuple[str, list[Record]]
"""The prefix of a backup's objects, and these as Swift lists them."""

MOST = 10000
"""Objects of a container that is listed as a whole: what Swift gives at once, unless it is
configured otherwise."""

SKEW = timedelta(minutes=10)
"""By which the clock of a host that makes backups may be behind that of Cinder's API."""

_DESCRIPTION = re.compile(r"_backup_([^/_]+)_metadata\Z")
_PART = re.compile(r"_backup_([^/_]+)(?:-\d+|_sha256file)\Z")
_ALL = "volume_"
LAST = "\U0010ffff"     # sorts after every name


class Container:
    """The complete list of a container, or of what begins alike in it."""

    def __init__(self, objects: Sequence[Record]) -> None:
        self._objects = sorted(objects, key=_name)
        self._names = [_name(one) for one in self._objects]
        self._prefixes = self._found(_DESCRIPTION)

    def _found(self, pattern: re.Pattern[str]) -> dict[str, str]:
        return {found[1]: name[:found.start()] + f"_backup_{found[1]}"
                for name in self._names if (found := pattern.search(name))}

    def of(self, backup: str) -> Objects | None:
        """Return the objects of a backup whose description is listed."""
        return self._under(self._prefixes.get(backup))

    def part_of(self, backup: str) -> Objects | None:
        """Return the objects of a backup whose description is not: by their names it can be asked
        for itself."""
        return self._under(self._found(_PART).get(backup))

    def _under(self, prefix: str | None) -> Objects | None:
        if prefix is None:
            return None
        first = bisect_left(self._names, prefix)
        last = bisect_left(self._names, prefix + LAST)
        return prefix, self._objects[first:last]


def objects_of(cloud: Cloud, api: Api, container: str, backup: Mapping[str, Any]
               ) -> Objects | None:
    """Return the objects of a backup; None when there is nothing of the backup: neither in the
    container's list nor in that of its volume. Raises CloudNotFound when there is no such
    container, and what else Swift answers."""
    asked = list_cache(cloud)
    came = asked.now()
    id = str(backup["id"])
    for since in (None, came):      # a list of before the backup's end lacks its description
        answer = asked.ask(f"swift {container}", lambda: _whole(api, container), since=since)
        if isinstance(answer, CloudError):
            raise copy.copy(answer)
        if answer is None:
            break
        if found := answer.of(id):
            return found
    return _near(api, container, backup) or _search(api, container, backup)


def _whole(api: Api, container: str) -> Container | CloudError | None:
    """Return the list of the whole container; None when it has too many objects. An error is an
    answer like another, for all who ask."""
    objects: list[Record] = []
    try:
        for page in _pages(api, container, prefix=_ALL):
            objects += page
            if len(objects) >= MOST:
                return None
    except CloudError as error:
        if error.transient:
            raise
        return error
    return Container(objects)


def _near(api: Api, container: str, backup: Mapping[str, Any]) -> Objects | None:
    """Return what the volume has from shortly before the backup on: one list, and an empty page
    where the backup is the last."""
    try:
        born = datetime.fromisoformat(str(backup.get("created_at")).rstrip("Z"))
    except ValueError:
        return None
    root = f"volume_{backup['volume_id']}/"
    time = (born.replace(tzinfo=UTC) - SKEW).strftime("%Y%m%d%H%M%S")
    objects: list[Record] = []
    for page in _pages(api, container, prefix=root, marker=root + time):
        objects += page
        found = Container(objects).of(str(backup["id"]))
        if found is not None and _name(objects[-1]) > found[0] + LAST:
            return found
    return Container(objects).of(str(backup["id"]))


def _search(api: Api, container: str, backup: Mapping[str, Any]) -> Objects | None:
    root, id = f"volume_{backup['volume_id']}/", str(backup["id"])
    times = [str(one["subdir"]) for page in _pages(api, container, prefix=root, delimiter="/")
             for one in page if "subdir" in one]
    partly: Objects | None = None
    for time in sorted(times, key=_nearness(backup)):
        listed = Container([one for page in _pages(api, container, prefix=time) for one in page])
        if found := listed.of(id):
            return found
        partly = partly or listed.part_of(id)
    return partly


def _pages(api: Api, container: str, **params: str) -> Iterator[list[Record]]:
    """Yield page after page, up to the empty one; each as large as the store likes."""
    while True:
        page: list[Record] = api.get(f"/{quote(container, safe='')}",
                                     params={"format": "json", **params})
        if not page:
            return
        yield page
        params["marker"] = str(page[-1].get("name") or page[-1].get("subdir"))


def _nearness(backup: Mapping[str, Any]) -> Any:
    """Return a key that sorts the driver's times (YYYYmmddHHMMSS of its start) by their distance
    from the creation of the backup, so that usually the first one is right."""
    born = int((re.sub(r"\D", "", str(backup.get("created_at") or "")) + "0" * 14)[:14])

    def distance(subdir: str) -> int:
        digits = re.sub(r"\D", "", subdir.rstrip("/").rsplit("/", 1)[-1])
        return abs(int(digits or 0) - born)
    return distance


def _name(one: Mapping[str, Any]) -> str:
    return str(one["name"])
