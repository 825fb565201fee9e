"""Plans: rooms while they are being furnished, so that no two pieces stand in the same place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .shapes import Parts
from .style import Rng, Style

Rectangle = tuple[float, float, float, float]
YAWS = (0.0, math.pi, math.pi / 2, -math.pi / 2)  # of furniture at the walls -z, z, -x, x


@dataclass
class Plan:
    """A room while it is being furnished; `taken` are floor rectangles, `hung` wall rectangles."""

    rng: Rng
    style: Style
    wide: float
    deep: float
    high: float
    parts: Parts = field(default_factory=Parts)
    taken: list[Rectangle] = field(default_factory=list)
    hung: list[tuple[int, Rectangle]] = field(default_factory=list)
    panes: list[tuple[int, int]] = field(default_factory=list)
    sights: list[tuple[float, float, float, float]] = field(default_factory=list)

    def length(self, wall: int) -> float:
        """The length of a wall."""
        return self.wide if wall < 2 else self.deep

    def at_wall(self, wall: int, along: float, off: float) -> tuple[float, float]:
        """The floor point that is `along` a wall and `off` away from it."""
        return (
            (along, off),
            (along, self.deep - off),
            (off, along),
            (self.wide - off, along),
        )[wall]

    def stand(
        self, item: Parts, wall: int, along: float, *, gap: float = 0.02, side: float = 0.04
    ) -> bool:
        """Put an item with its back to a wall, unless something is in the way."""
        x0, x1, z0, _, top = item.extent()
        half = max(x1, -x0)
        if along - half < side or along + half > self.length(wall) - side:
            return False
        on_wall = (along - half, along + half, 0.0, top)
        if any(w == wall and _overlap(r, on_wall, 0.0) for w, r in self.hung):
            return False
        x, z = self.at_wall(wall, along, gap - z0)
        return self.lay(item, x, z, YAWS[wall], side)

    def lay(self, item: Parts, x: float, z: float, yaw: float, side: float = 0.04) -> bool:
        """Put an item on the floor, unless something is in the way."""
        placed = Parts()
        placed.put(item, (x, 0.0, z), yaw)
        x0, x1, z0, z1, top = placed.extent()
        spot = (x0, x1, z0, z1)
        if x0 < 0 or z0 < 0 or x1 > self.wide or z1 > self.deep:
            return False
        if any(_overlap(spot, other, side) for other in self.taken):
            return False
        self.taken.append(spot)
        self.sights.append(((x0 + x1) / 2, (z0 + z1) / 2, top / 2, max(x1 - x0, z1 - z0, top)))
        self.parts.solids += placed.solids
        return True

    def somewhere(self, item: Parts, *, tries: int = 14, gap: float = 0.02) -> int:
        """Put an item at a random wall; return the wall's number, or -1 if there was no room."""
        for _ in range(tries):
            wall = int(self.rng.integers(4))
            along = self.rng.uniform(0.3, self.length(wall) - 0.3)
            if self.stand(item, wall, along, gap=gap):
                return wall
        return -1

    def free(self, item: Parts, *, tries: int = 10, middle: float = 1.0) -> bool:
        """Put an item anywhere on the floor, at a random angle; `middle` < 1 keeps it central."""
        for _ in range(tries):
            x = self.wide * (0.5 + middle * self.rng.uniform(-0.5, 0.5))
            z = self.deep * (0.5 + middle * self.rng.uniform(-0.5, 0.5))
            if self.lay(item, x, z, self.rng.uniform(0, 2 * math.pi), 0.1):
                return True
        return False

    def hang(self, item: Parts, wall: int, along: float, low: float, margin: float = 0.05) -> bool:
        """Fix an item to a wall with its underside at `low`, unless something is in the way."""
        x0, x1, _, _, top = item.extent()
        spot = (along + x0, along + x1, low, low + top)
        if spot[0] < 0.08 or spot[1] > self.length(wall) - 0.08 or spot[3] > self.high - 0.05:
            return False
        if any(w == wall and _overlap(spot, r, margin) for w, r in self.hung):
            return False
        x, z = self.at_wall(wall, along, 0.0)
        self.parts.put(item, (x, low, z), YAWS[wall])
        self.hung.append((wall, spot))
        self.sights.append((x, z, low + top / 2, 0.6 * max(x1 - x0, top)))
        return True

    def anywhere(self, item: Parts, low: float, high: float, tries: int = 8) -> bool:
        """Hang an item at a random place between two heights."""
        for _ in range(tries):
            wall = int(self.rng.integers(4))
            along = self.rng.uniform(0.3, self.length(wall) - 0.3)
            if self.hang(item, wall, along, self.rng.uniform(low, high)):
                return True
        return False


def _overlap(a: Rectangle, b: Rectangle, margin: float) -> bool:
    return (
        a[0] < b[1] + margin
        and b[0] < a[1] + margin
        and a[2] < b[3] + margin
        and b[2] < a[3] + margin
    )
