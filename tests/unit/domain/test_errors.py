"""What errors say of themselves."""

from __future__ import annotations

from karbor.domain.errors import KarborError, Obstacles, why


def test_the_facts_of_an_error_are_told_in_one_line() -> None:
    assert why({}) == ""
    assert why(KarborError("no space", remedy="make some", resource="volume data").facts()) == (
        "volume data: no space (make some)")
    stands = Obstacles("it cannot be protected as it stands", [
        {"what": "volume a is in the state error", "remedy": "repair it"}, {"what": "no quota"},
        {"what": "no quota"}])
    assert why(stands.facts()) == ("it cannot be protected as it stands; volume a is in the state "
                                   "error (repair it); no quota")


def test_of_many_obstacles_only_some_are_told_in_one_line() -> None:
    many = Obstacles("no", [{"what": f"volume {n}"} for n in range(1000)])
    assert why(many.facts()).endswith("volume 9; and 990 more")
