"""Progress on a terminal: a table that stays in its place, a line for each resource."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from karbor.cli.credential_view import countdown
from karbor.cli.formatting import clock, lapse
from karbor.cli.output import console
from karbor.cli.steps_view import Row, graph_of, rows
from karbor.domain.operation import Operation
from karbor.domain.resource import ResourceGraph
from karbor.domain.step import Step

_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "left": "red",
            "undoing": "yellow", "undone": "yellow", "waiting": "dim"}
_URGENT = ("failed", "left", "undoing", "running", "waiting", "undone", "done")
EDGE = 4        # lines of the screen that are not the table's


class Screen:
    """Redraws on stderr. Where the terminal is too small, what is under way comes first."""

    def __init__(self) -> None:
        self._console = console()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._graph: ResourceGraph | None = None

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def show(self, operation: Operation, steps: Sequence[Step], now: float) -> None:
        if self._graph is None:
            self._graph = graph_of(operation)
        since = lapse(operation.created_at, operation.finished_at or now)
        head = Text(f"{operation.verb} {operation.request.get('name', '')}: {operation.state}, "
                    f"{since}" + countdown(operation, now), style="bold")
        body: list[RenderableType] = [head]
        if self._graph is not None:
            body.append(self._table(rows(self._graph, steps)))
        self._live.update(Group(*body), refresh=True)

    def event(self, at: float, text: str) -> None:
        self.note(f"{clock(at)}  {text}")

    def note(self, text: str) -> None:
        self._console.print(Text(text))

    def _table(self, found: Sequence[Row]) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        room = max(3, self._console.size.height - EDGE)
        chosen = list(found)
        if len(chosen) > room:
            chosen = sorted(chosen, key=lambda row: _URGENT.index(row.state))[:room]
        for row in chosen:
            table.add_row("  " * row.depth + row.name,
                          ProgressBar(total=1.0, completed=row.share, width=12),
                          Text(row.state, style=_COLOURS.get(row.state, "")),
                          row.stage, row.detail)
        if len(found) > len(chosen):
            table.add_row(f"… and {len(found) - len(chosen)} more")
        return table
