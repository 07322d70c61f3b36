"""Operations that outlast their tokens by far, side by side: `make endurance` in its short form."""

from __future__ import annotations

import pathlib

import pytest

from dev.endurance.place import Place
from dev.endurance.proof import Scale
from dev.endurance.story import play
from tests.cloud.conftest import Cloud

MIB = 1 << 20
SHORT = Scale(operations=2, seconds=36, token_life=12, window=18, size=4 * MIB,
              uncached=("glance", "neutron", "nova"))      # those that the bytes and servers pass


@pytest.mark.usefixtures("original_tokens")
def test_operations_on_a_slow_road_change_over_to_a_trust(
        cloud: Cloud, tmp_path: pathlib.Path) -> None:
    report = play(Place(cloud.state, tmp_path / "endurance"), SHORT)
    assert report.faults == []
    assert [(one.tenant, one.verb) for one in report.passages] == [
        (f"endurance-{number:02}", verb) for verb in ("protect", "restore") for number in (1, 2)]
