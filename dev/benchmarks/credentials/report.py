"""Report: the results as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Found = Mapping[str, Any]


def text(found: Found) -> str:
    parts = ["machine: " + ", ".join(f"{name} {value}" for name, value in found["machine"].items())]
    if "wrapper" in found:
        one = found["wrapper"]
        parts += [(f"Whole requests, CPU seconds per 1000 ({one['rounds']} rounds of "
                  f"{one['times']})"), _measured(one["requests"], 1, "{:.3f}"),
                  "What the plugins add to each, CPU microseconds",
                  _measured(one["headers"], 1000, "{:.1f}")]
    for one in found.get("lookups", {}).get("catalogs", ()):
        parts += [(f"Looking an address up, catalog of {one['endpoints']} endpoints, CPU "
                  "microseconds"), _measured(one["lookups"], 1000, "{:.1f}"),
                  "Whole requests with it, CPU microseconds",
                  _measured(one["requests"], 1000, "{:.0f}")]
    if "logins" in found:
        one = found["logins"]
        parts += [(f"Keystone requests; tokens live {one['token_life']:.0f} s, renewed after "
                  f"{one['renewed_after']:.0f} s"), _crowds(one["crowds"]),
                  f"logins that Keystone itself counted: {one['logins_counted_by_keystone']}"]
    return "\n\n".join(parts)


def _measured(rows: Sequence[Found], factor: float, form: str) -> str:
    return _table(("", "median", "middle half", "ratio"), [
        (row["name"], form.format(row["cpu_seconds_per_1000"] * factor),
         " - ".join(form.format(one * factor) for one in row["middle_half"]),
         f"{row['ratio']:.3g}") for row in rows])


def _crowds(rows: Sequence[Found]) -> str:
    return _table(("users", "seconds", "requests", "token lives", "logins", "discoveries",
                   "service tokens seen"), [
        (row["users"], row["seconds"], row["requests"], row["lives"], row["logins"],
         row["discoveries"], row["service_tokens_seen"]) for row in rows])


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines)
