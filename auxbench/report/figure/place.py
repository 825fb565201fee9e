"""Places for labels: near their points, without touching each other or what is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Box = tuple[float, float, float, float]  # left, top, right, bottom
NEAR = (4.5, 11.0, 18.0, 26.0, 36.0, 48.0)  # points between a point and its label
WAYS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
TINY = 0.4


@dataclass
class Places:
    """The free room of an area.

    `taken` has the boxes of points and labels, and `soft` boxes that labels avoid if they can.
    """

    area: Box
    taken: list[Box] = field(default_factory=list)
    soft: list[Box] = field(default_factory=list)

    def find(self, x: float, y: float, wide: float, tall: float) -> tuple[Box, bool] | None:
        """Take the room for a label of a point; True if a line must lead to it."""
        for avoided in ([*self.taken, *self.soft], self.taken):
            for at, near in enumerate(NEAR):
                for box in _around(x, y, wide, tall, near):
                    line = _line(x, y, box) if at else []
                    if self._inside(box) and _free([box], avoided) and _free(line, self.taken):
                        self.taken += [box, *line]
                        return box, bool(at)
        return None

    def _inside(self, box: Box) -> bool:
        left, top, right, bottom = self.area
        return left <= box[0] and box[2] <= right and top <= box[1] and box[3] <= bottom


def _around(x: float, y: float, wide: float, tall: float, near: float) -> Iterator[Box]:
    """The boxes at a distance from a point, those beside it first."""
    for across, down in WAYS:
        if across and down:
            left = x + near * 0.8 if across > 0 else x - near * 0.8 - wide
            top = y + near * 0.8 if down > 0 else y - near * 0.8 - tall
        elif across:
            left, top = (x + near if across > 0 else x - near - wide), y - tall / 2
        else:
            left, top = x - wide / 2, (y + near if down > 0 else y - near - tall)
        yield left, top, left + wide, top + tall


def leader(x: float, y: float, box: Box) -> tuple[float, float]:
    """The place on a label at which the line from its point ends."""
    return min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])


def _line(x: float, y: float, box: Box) -> list[Box]:
    """Small boxes along the line to a label, without its two ends."""
    end_x, end_y = leader(x, y, box)
    length = max(abs(end_x - x), abs(end_y - y))
    steps = int(length // 2)
    dots = [
        (x + (end_x - x) * k / steps, y + (end_y - y) * k / steps)
        for k in range(steps + 1)
        if steps and 4.2 < length * k / steps < length - 0.8
    ]
    return [(a - TINY, b - TINY, a + TINY, b + TINY) for a, b in dots]


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _free(boxes: Sequence[Box], others: Sequence[Box]) -> bool:
    return not any(_touch(box, other) for box in boxes for other in others)
