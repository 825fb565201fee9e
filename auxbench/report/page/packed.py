"""Packed data: rows as columns, and texts that recur as numbers of a list, to keep pages small."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any


class Pool:
    """Distinct values, each kept once, known by their places."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, value: Hashable) -> int:
        """The place of a value, which is added if it is new."""
        if value not in self._places:
            self._places[value] = len(self.values)
            self.values.append(value)
        return self._places[value]


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Flat rows as lists by key; a value that all rows share stands there once.

    >>> columns([{"tier": 1, "unit": "m"}, {"tier": 2, "unit": "m"}])
    {'tier': [1, 2], 'unit': 'm'}
    """
    found = {key: [row[key] for row in rows] for key in rows[0]} if rows else {}
    return {key: _shared(values) for key, values in found.items()}


def rows(packed: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The rows that `columns` packed."""
    whole = {
        key: value if isinstance(value, list) else [value] * count for key, value in packed.items()
    }
    return [{key: values[place] for key, values in whole.items()} for place in range(count)]


def short(value: Any, digits: int = 4) -> float | int | None:
    """A number to some significant digits, for figures; None for what is no finite number.

    >>> short(0.123456), short(1250.0), short(math.nan), short("wrong")
    (0.1235, 1250, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    near = float(f"{value:.{digits}g}")
    return int(near) if near.is_integer() and abs(near) < 1e15 else near


def thinned(count: int, most: int) -> list[int]:
    """Evenly spaced indices below `count`, at most `most`, including the first and the last.

    >>> thinned(5, 12), thinned(100, 4)
    ([0, 1, 2, 3, 4], [0, 33, 66, 99])
    """
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def embedded(document: Any) -> str:
    r"""A document as JSON that may stand inside an element of a page, in ASCII.

    >>> print(embedded({"name": "</script><!--\u2028"}))
    {"name":"\u003c/script\u003e\u003c!--\u2028"}
    """
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _shared(values: list[Any]) -> Any:
    first = values[0]
    alike = not isinstance(first, list) and all(
        type(value) is type(first) and value == first for value in values
    )
    return first if alike else values
