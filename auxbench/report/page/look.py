"""Looks: the colours of pages and figures, and the colour and the mark of every method."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

COLOURS = 8
MARKS = ("circle", "square", "diamond", "up", "down", "plus")
Look = tuple[int, str]  # the number of a colour, and a mark


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A colour and a mark per method: a hash of its name, and the next free pair on a collision.

    >>> looks(["hps", "single"]) == looks(["single", "hps"])
    True
    """
    taken: set[int] = set()
    found: dict[str, Look] = {}
    every = COLOURS * len(MARKS)
    for name in sorted(set(methods)):
        slot = _hashed(name) % every
        for _ in range(every):
            if slot not in taken:
                break
            slot = (slot + 7) % every
        taken.add(slot)
        found[name] = slot % COLOURS, MARKS[slot // COLOURS]
    return found


@cache
def colours() -> dict[str, str]:
    """The colours of the page on a light ground, by their names in its style.

    >>> colours()["card"]
    '#ffffff'
    """
    style = (Path(__file__).parent / "page.css").read_text("utf-8")
    light = style.partition(":root {")[2].partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))


def _hashed(name: str) -> int:
    """The 32-bit FNV-1a hash of a name's characters."""
    value = 2166136261
    for char in name:
        value = ((value ^ ord(char)) * 16777619) & 0xFFFFFFFF
    return value
