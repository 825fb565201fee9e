"""Tables in a terminal: as wide as it is, with the least important columns left out."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from textwrap import fill

from auxbench.errors import visible
from auxbench.report.grid import grid, narrowest

TOGETHER = "\u00a0"  # a space at which no line ends
COLOURS = {"better": 32, "worse": 31, "undecided": 2}  # green, red, dim


@dataclass(frozen=True)
class Shown:
    """A column with its cells as text.

    In a terminal that is too narrow, columns with the highest `spare` are left out first, those
    with 0 never. The verdicts of a `telling` column are coloured.
    """

    title: str
    cells: Sequence[str]
    number: bool
    spare: int = 0
    telling: bool = False


def text(title: str, columns: Sequence[Shown], notes: Sequence[str]) -> str:
    """A table with its title above and notes below."""
    width = width_of_terminal()
    head = [_filled(visible(title), width)] if title else []
    tail = ["", *(_filled(visible(note), min(width, 100)) for note in notes)] if notes else []
    return "\n".join([*head, *_lines(columns, width), *tail]) + "\n"


def _lines(columns: Sequence[Shown], width: int) -> list[str]:
    left = _dispensable(columns, width)
    kept = [column for place, column in enumerate(columns) if place not in left]
    paints = {place: painted for place, column in enumerate(kept) if column.telling and _colours()}
    lines = grid(
        [column.title for column in kept],
        list(zip(*(column.cells for column in kept), strict=True)),
        [column.number for column in kept],
        width,
        paints,
    )
    names = ", ".join(columns[place].title for place in sorted(left))
    note = f"Too narrow for: {names}. --format csv has them."
    return [*lines, *([_filled(note, width)] if left else [])]


def _dispensable(columns: Sequence[Shown], width: int) -> set[int]:
    """The places of columns to leave out, so that the others fit with their least widths."""
    least = [2 + narrowest(column.title, column.cells, column.number) for column in columns]
    left: set[int] = set()
    total = sum(least) - 1
    for place in sorted(range(len(columns)), key=lambda place: -columns[place].spare):
        if total <= width or not columns[place].spare:
            break
        left.add(place)
        total -= least[place]
    return left


def folded(text: str) -> str:
    """A sentence in lines as wide as the terminal; names are not broken, and lines are indented."""
    return fill(
        visible(text),
        width_of_terminal(),
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    ).replace(TOGETHER, " ")


@lru_cache(maxsize=1024)
def _filled(text: str, width: int) -> str:
    """Text in lines of this width, with names whole; boards repeat many of their notes."""
    return fill(text, width, break_long_words=False, break_on_hyphens=False)


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
