"""Keys: marks or lines with their names, in as many columns as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from auxbench.report.figure.sheet import Sheet
from auxbench.report.figure.text import SMALL, fold, height, width

SIGN = 16.0  # points of a sign before its name
GAP = 8.0
ROW = 2.0


@dataclass(frozen=True)
class Key:
    """Names in columns, which are read downwards, for a figure of some width."""

    names: Sequence[Sequence[str]]
    columns: int
    wide: float

    @classmethod
    def of(cls, names: Sequence[str], wide: float) -> Key:
        """The key with the most columns in which the names need one line, or else two lines."""
        widest = SIGN + GAP + max(width(name, SMALL) for name in names)
        columns = max(1, min(len(names), int(wide // widest)))
        if columns == 1 and len(names) > 2:
            columns = 2
        room = wide / columns - SIGN - GAP
        return cls([fold(name, room, SMALL) for name in names], columns, wide)

    @property
    def rows(self) -> list[float]:
        """The heights of the rows."""
        count = ceil(len(self.names) / self.columns)
        return [
            max(height(len(name), SMALL) + ROW for name in self.names[row::count])
            for row in range(count)
        ]

    @property
    def height(self) -> float:
        """The height of the whole key."""
        return sum(self.rows)

    def draw(
        self, sheet: Sheet, top: float, sign: Callable[[int, float, float], None], left: float = 0
    ) -> None:
        """Draw the names; `sign` draws the sign of an entry in the middle of its place."""
        rows = self.rows
        for at, lines in enumerate(self.names):
            column, row = divmod(at, len(rows))
            x = left + column * self.wide / self.columns
            y = top + sum(rows[:row]) + rows[row] / 2
            sign(at, x + SIGN / 2, y)
            sheet.text(x + SIGN + 1, y, "\n".join(lines), SMALL)
