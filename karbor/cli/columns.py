"""Plain columns: as wide as they are in a file, as narrow as it goes on a terminal.

No word and no id is ever broken, because people copy them. What does not fit is left out, where a
column may be missed, then wrapped between words; the rest is the terminal's to wrap.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from unicodedata import combining, east_asian_width

GAP = "  "
NARROWEST = 16      # columns of text below which wrapping reads worse than a long line


def laid_out(columns: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None,
             spare: Sequence[str] = ()) -> Iterator[str]:
    """Yield the lines, the head first, without blanks at their ends.

    width: columns of the terminal; None where there is none, and nothing is left out or wrapped.
    spare: the columns that may be missed, the first to go first. The last column alone is wrapped.
    """
    shown = list(range(len(columns)))
    wide = [max(map(breadth, (name, *(row[at] for row in rows))))
            for at, name in enumerate(columns)]

    def total() -> int:
        return sum(wide[at] for at in shown) + len(GAP) * (len(shown) - 1)

    for name in spare:
        if width is None or total() <= width:
            break
        shown.remove(list(columns).index(name))
    last = shown[-1]
    if width is not None and total() > width:
        words = [breadth(word) for row in rows for word in row[last].split()]
        room = width - (total() - wide[last])
        if room >= max(NARROWEST, breadth(columns[last]), *words):
            wide[last] = room
    for row in (columns, *rows):
        texts = textwrap.wrap(row[last], wide[last], break_long_words=False,
                              break_on_hyphens=False) or [""]
        before = [_filled(row[at], wide[at]) for at in shown[:-1]]
        yield GAP.join((*before, texts[0])).rstrip()
        for text in texts[1:]:
            yield GAP.join((*(" " * wide[at] for at in shown[:-1]), text)).rstrip()


def breadth(text: str) -> int:
    """Return how many columns of a terminal a text takes: an ideograph takes two, an accent
    none."""
    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def _filled(text: str, wide: int) -> str:
    return text + " " * (wide - breadth(text))
