"""Tables in files and on terminals."""

from __future__ import annotations

import pytest

from karbor.cli.columns import breadth, laid_out

ID = "0d3c9f5e-0000-4000-8000-000000000001"
COLUMNS = ("ID", "NAME", "STATE", "WHY")
ROWS = [(ID, "web-1", "available", "the bytes were not read back, only their checksums"),
        (ID, "a", "", "")]


def test_in_a_file_nothing_is_cut_and_no_line_ends_in_blanks() -> None:
    lines = list(laid_out(COLUMNS, ROWS, spare=("STATE",)))
    assert lines == [
        "ID" + " " * 36 + "NAME   STATE      WHY",
        f"{ID}  web-1  available  the bytes were not read back, only their checksums",
        f"{ID}  a"]


@pytest.mark.parametrize("width", [20, 57, 72, 73, 80, 100, 106, 107])
def test_a_terminal_breaks_no_word_and_wraps_only_the_last_column(width: int) -> None:
    lines = list(laid_out(COLUMNS, ROWS, width=width, spare=("STATE",)))
    assert lines[1].startswith(f"{ID}  web-1")
    assert ("available" in lines[1]) == (width >= 106)
    assert " ".join(" ".join(lines).split()).count("not read back, only their checksums") == 1
    if width >= 61:
        assert max(map(len, lines)) <= width


def test_what_may_be_missed_goes_in_its_order_and_only_as_far_as_needed() -> None:
    row = [("a" * 10, "b" * 10, "c" * 10)]
    heads = [next(laid_out("ABC", row, width=width, spare=("C", "B"))).split()
             for width in (34, 33, 22, 21)]
    assert heads == [["A", "B", "C"], ["A", "B"], ["A", "B"], ["A"]]


def test_ideographs_take_two_columns_and_accents_none() -> None:
    assert (breadth("\u4e2d\u6587"), breadth("e\u0301")) == (4, 1)
    lines = list(laid_out(("NAME", "X"), [("\u4e2d\u6587", "1"), ("abcd", "1")]))
    assert lines == ["NAME  X", "\u4e2d\u6587  1", "abcd  1"]
