"""Grids: cells of text in aligned columns, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

SHORT = 24  # characters of a text that is not folded
SHORTEST = 12  # of one that is folded where the table would be too wide otherwise
LONGEST = 40  # characters of a word that is not broken, such as a name


Paint = Callable[[str], str]


def grid(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    width: int,
    paints: Mapping[int, Paint] | None = None,
) -> list[str]:
    """The lines of a table that fits the width: texts are folded where it is narrow, numbers not.

    Names are not broken. Columns of numbers are aligned to the right. `paints` has functions that
    colour the cells of columns, by their places. rich draws the same table in twenty times as long.

    >>> print(*grid(["name", "n"], [["hps", "1"], ["single", "20"]], [False, True], 80), sep="\\n")
     name     n
     ──────────
     hps      1
     single  20
    """
    if not titles:
        return []
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in titles]
    widths = _widths(titles, columns, numeric, width)
    cells = [
        [_folded(cell, size, right) for cell in (title, *column)]
        for title, column, size, right in zip(titles, columns, widths, numeric, strict=True)
    ]
    head = max(len(column[0]) for column in cells)
    gaps = [" " * size for size in widths]
    for column, gap in zip(cells, gaps, strict=True):
        column[0] = [gap] * (head - len(column[0])) + column[0]  # titles stand on the line
    for place, paint in (paints or {}).items():
        head_cell, *body = cells[place]
        cells[place] = [head_cell, *([paint(part) for part in parts] for parts in body)]
    lines = [
        " " + "  ".join(part or gap for part, gap in zip(line, gaps, strict=True))
        for row in zip(*cells, strict=True)
        for line in zip_longest(*row)
    ]
    lines.insert(head, " " + "─" * (sum(widths) + 2 * (len(widths) - 1)))
    return [line for line in map(str.rstrip, lines) if line]


def _widths(
    titles: Sequence[str], columns: Sequence[Sequence[str]], numeric: Sequence[bool], width: int
) -> list[int]:
    """The width of every column, so that the table fits."""
    wanted = [
        max(_length(title), *map(_length, column), 0)
        for title, column in zip(titles, columns, strict=True)
    ]
    least = [
        narrowest(title, column, number)
        for title, column, number in zip(titles, columns, numeric, strict=True)
    ]
    if sum(least) > width - 2 * len(wanted):
        least = [
            narrowest(title, column, number, SHORTEST)
            for title, column, number in zip(titles, columns, numeric, strict=True)
        ]
    # If the narrowest columns are too wide together, the terminal wraps the lines.
    slack = max(0, width - 2 * len(wanted) - sum(least))
    widths = []
    for most, few in zip(wanted, least, strict=True):
        widths.append(min(most, few + slack))
        slack -= widths[-1] - few
    return widths


def narrowest(title: str, column: Sequence[str], number: bool, short: int = SHORT) -> int:
    """The width to which a column can be folded; numbers, short texts and names are not."""
    words = title.split()
    longest = max(map(_length, column), default=1)
    if not number and longest > short:
        parts = (_length(word) for cell in column for word in cell.split())
        longest = max(short, min(max(parts, default=1), LONGEST))
    return max([longest, *map(_length, words)])


def _folded(text: str, width: int, right: bool) -> list[str]:
    """The lines of a cell, padded to the width of its column."""
    text = text.rstrip(" ") if right else text
    length = _length(text)
    if length <= width and "\n" not in text:
        gap = " " * (width - length)
        return [gap + text if right else text + gap]
    import io

    from rich.console import Console
    from rich.text import Text

    console = Console(file=io.StringIO(), width=10_000, force_terminal=False)
    lines = Text(text).wrap(console, width, justify="right" if right else "left", overflow="fold")
    return [line.plain for line in lines]


def _length(text: str) -> int:
    """The number of cells that a text fills in a terminal."""
    if text.isascii() and "\n" not in text:
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
