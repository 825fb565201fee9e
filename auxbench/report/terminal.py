"""Tables in a terminal: as wide as it is, with the least important columns left out."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from textwrap import fill
from typing import TYPE_CHECKING

from auxbench.errors import visible
from auxbench.report.grid import grid, narrowest

if TYPE_CHECKING:
    from auxbench.report.tables import Column, Table

COLOURS = {"better": 32, "worse": 31, "undecided": 2}  # green, red, dim


def text(table: Table, notes: Sequence[str]) -> str:
    """A table with its title above and notes below."""
    width = width_of_terminal()
    title = [_filled(visible(table.title), width)] if table.title else []
    tail = ["", *(_filled(visible(note), min(width, 100)) for note in notes)] if notes else []
    return "\n".join([*title, *_lines(table, width), *tail]) + "\n"


def _lines(table: Table, width: int) -> list[str]:
    texts = {column: [column.text(row) for row in table.rows] for column in table.shown}
    numeric = {column: table.numeric(column) for column in texts}
    least = {
        column: 2 + narrowest(column.title, cells, numeric[column])
        for column, cells in texts.items()
    }
    left = _dispensable(least, width)
    kept = [column for column in texts if column not in left]
    paints = {place: painted for place, column in enumerate(kept) if column.telling and _colours()}
    lines = grid(
        [column.title for column in kept],
        list(zip(*(texts[column] for column in kept), strict=True)),
        [numeric[column] for column in kept],
        width,
        paints,
    )
    names = ", ".join(column.title for column in texts if column in left)
    note = f"Too narrow for: {names}. --format csv has them."
    return [*lines, *([_filled(note, width)] if left else [])]


def _dispensable(least: Mapping[Column, int], width: int) -> set[Column]:
    """The columns to leave out, so that the others fit with their least widths."""
    left: set[Column] = set()
    total = sum(least.values())
    for column in sorted(least, key=lambda column: -column.spare):
        if total <= width or not column.spare:
            break
        left.add(column)
        total -= least[column]
    return left


@lru_cache(maxsize=1024)
def _filled(text: str, width: int) -> str:
    """Text in lines of this width; boards repeat many of their notes."""
    return fill(text, width)


def painted(text: str) -> str:
    r"""Text in which verdicts are coloured, for a terminal; the words say the same.

    >>> painted("+0.1 better (20)")
    '+0.1 \x1b[32mbetter\x1b[0m (20)'
    """
    return re.sub(
        r"\b(better|worse|undecided)\b",
        lambda found: f"\x1b[{COLOURS[found[0]]}m{found[0]}\x1b[0m",
        text,
    )


def _colours() -> bool:
    """Return whether to colour: at a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def width_of_terminal() -> int:
    """The terminal's width, or one that is enough for any table if there is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 1_000
