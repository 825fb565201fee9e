"""Text of figures: how wide it is, and lines that fit a width."""

from __future__ import annotations

import re
from functools import lru_cache

from auxbench.errors import visible

SIZE, SMALL = 7.0, 6.0
LEADING = 1.22  # of lines, in font sizes
MOST = 4  # lines of a name


@lru_cache(maxsize=65_536)
def width(text: str, size: float = SIZE) -> float:
    """The width of one line in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    properties = FontProperties(family="DejaVu Sans", size=size)
    return float(text_to_path.get_text_width_height_descent(text, properties, False)[0]) * 1.02


def height(lines: int, size: float = SIZE) -> float:
    """The height of some lines in points."""
    return lines * size * LEADING


def fold(name: str, room: float, size: float = SIZE, most: int = MOST) -> list[str]:
    """A name in lines that fit; it is broken at its parts and options, and elsewhere if it must.

    An option that is too long for a line is broken before its value. Only a name of more than
    `most` lines is cut, which an ellipsis says.
    """
    lines = [""]
    parts = re.split(r"(?=[+:])", visible(name).replace("\n", " "))
    for part in (piece for whole in parts for piece in _pieces(whole, room, size)):
        if width(lines[-1] + part, size) <= room:
            lines[-1] += part
            continue
        if lines[-1]:
            lines.append("")
        for char in part:
            if lines[-1] and width(lines[-1] + char, size) > room:
                lines.append("")
            lines[-1] += char
    if len(lines) > most:
        last = "".join(lines[most - 1 :])
        while last and width(f"{last}…", size) > room:
            last = last[:-1]
        lines = [*lines[: most - 1], f"{last}…"]
    return lines


def _pieces(part: str, room: float, size: float) -> list[str]:
    """A part as it is if it fits a line, else its option and the value."""
    return [part] if width(part, size) <= room else re.split(r"(?==)", part)


def paragraph(text: str, room: float, size: float = SMALL) -> list[str]:
    """Words in lines that fit; a word that is too long is broken like a name."""
    lines = [""]
    for word in visible(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if width(longer, size) <= room:
            lines[-1] = longer
        else:
            pieces = fold(word, room, size, most=99)
            lines = [*(line for line in lines if line), *pieces]
    return [line for line in lines if line]


def number(value: float, digits: int, signed: bool = False) -> str:
    """A number as the page writes it, with a true minus; no sign for what rounds to zero.

    >>> number(-0.25, 1), number(0.25, 2, signed=True), number(-0.001, 2)
    ('−0.2', '+0.25', '0.00')
    """
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return text
    return ("−" if value < 0 else "+" if signed else "") + text
