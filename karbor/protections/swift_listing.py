"""Which objects in Swift belong to a backup: learnt from as few lists as possible.

A container whose list is one page is listed as a whole, for all backups that are looked at within
half a minute. In a larger one the objects of one volume are listed from the time of the backup on;
where that does not find it, the times that there are.
"""

from __future__ import annotations

import copy
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from karbor.domain.errors import CloudError
from karbor.plugin.asked_once import asked_once
from karbor.plugin.cloud import Api, Cloud

Record = dict[str, Any]
Objects = tuple[str, list[Record]]
"""The prefix of a backup's objects, and these as Swift lists them."""

PAGE = 10000
"""Names to ask for at once: what Swift gives at most, unless it is configured otherwise."""

SKEW = timedelta(minutes=10)
"""By which the clock of a host that makes backups may be behind that of Cinder's API."""

_DESCRIPTION = re.compile(r"_backup_([^/_]+)_metadata\Z")
_ALL = "volume_"


class Container:
    """The complete list of a container."""

    def __init__(self, objects: Sequence[Record]) -> None:
        self._objects = sorted(objects, key=_name)
        self._names = [_name(one) for one in self._objects]
        self._prefixes = {found[1]: name[:found.start()] + f"_backup_{found[1]}"
                          for name in self._names if (found := _DESCRIPTION.search(name))}

    def of(self, backup: str) -> Objects | None:
        prefix = self._prefixes.get(backup)
        if prefix is None:
            return None
        first = bisect_left(self._names, prefix)
        last = bisect_left(self._names, prefix + "\U0010ffff")
        return prefix, self._objects[first:last]


def objects_of(cloud: Cloud, api: Api, container: str, backup: Mapping[str, Any]
               ) -> Objects | None:
    """None when there is no description of the backup. Raises CloudNotFound when there is no such
    container, and what else Swift answers."""
    asked = asked_once(cloud)
    came = asked.now()
    id = str(backup["id"])
    for since in (None, came):      # a list of before the backup's end lacks its description
        answer = asked.ask(f"swift {container}", lambda: _whole(api, container), since=since)
        if isinstance(answer, CloudError):
            raise copy.copy(answer)
        if answer is None:
            return _near(api, container, backup) or _search(api, container, backup)
        if found := answer.of(id):
            return found
    return None


def _whole(api: Api, container: str) -> Container | CloudError | None:
    """None when it is larger than a page. An error is an answer like another, for all who ask."""
    try:
        objects, complete = _page(api, container, _ALL)
    except CloudError as error:
        if error.transient:
            raise
        return None if error.status == 412 else error
    return Container(objects) if complete else None


def _near(api: Api, container: str, backup: Mapping[str, Any]) -> Objects | None:
    """One list: what the volume has from shortly before the backup on."""
    try:
        born = datetime.fromisoformat(str(backup.get("created_at")).rstrip("Z"))
    except ValueError:
        return None
    root = f"volume_{backup['volume_id']}/"
    time = (born.replace(tzinfo=UTC) - SKEW).strftime("%Y%m%d%H%M%S")
    try:
        objects, complete = _page(api, container, root, marker=root + time)
    except CloudError as error:
        if error.status == 412:
            return None
        raise
    found = Container(objects).of(str(backup["id"]))
    if found is None or not (complete or _name(objects[-1]) > found[0] + "\U0010ffff"):
        return None
    return found


def _search(api: Api, container: str, backup: Mapping[str, Any]) -> Objects | None:
    root = f"volume_{backup['volume_id']}/"
    times = [str(one["subdir"]) for one in _pages(api, container, root, delimiter="/")
             if "subdir" in one]
    for time in sorted(times, key=_nearness(backup)):
        if found := Container(_pages(api, container, time)).of(str(backup["id"])):
            return found
    return None


def _page(api: Api, container: str, prefix: str, **params: str) -> tuple[list[Record], bool]:
    """One page, and whether it is the last. Raises CloudError with the status 412 when Swift gives
    no pages of that size.

    A cluster that is being repaired may give a shorter page than there is: names that are missing
    then are asked for one by one (see SwiftBackup.entry)."""
    found: list[Record] = api.get(
        f"/{quote(container, safe='')}",
        params={"format": "json", "limit": PAGE, "prefix": prefix, **params})
    return found, len(found) < PAGE


def _pages(api: Api, container: str, prefix: str, **params: str) -> list[Record]:
    return api.list(f"/{quote(container, safe='')}", "", params={"prefix": prefix, **params})


def _nearness(backup: Mapping[str, Any]) -> Any:
    """Sorts the driver's times (YYYYmmddHHMMSS of its start) by their distance from the creation
    of the backup, so that usually the first one is right."""
    born = int((re.sub(r"\D", "", str(backup.get("created_at") or "")) + "0" * 14)[:14])

    def distance(subdir: str) -> int:
        digits = re.sub(r"\D", "", subdir.rstrip("/").rsplit("/", 1)[-1])
        return abs(int(digits or 0) - born)
    return distance


def _name(one: Mapping[str, Any]) -> str:
    return str(one["name"])
