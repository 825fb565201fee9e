"""Escaping: text that no terminal, spreadsheet or typesetter takes for a command."""

from __future__ import annotations

import unicodedata
from typing import Any

STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # categories of characters without a shape


def visible(text: str) -> str:
    r"""Text in which characters that steer a terminal or turn the direction of writing are spelled.

    >>> print(visible("a\x1b[31m"), visible("seed\u202e"))
    a\x1b[31m seed\u202e
    """
    if text.isprintable():
        return text
    return "".join(
        char if char == "\n" or unicodedata.category(char) not in STEERING else _spelled(char)
        for char in text
    )


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def harmless(value: Any) -> Any:
    """Text that a spreadsheet does not take for a formula."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    number = text.lstrip("+-")[:1].isdigit()
    return f"'{text}" if text[:1] in ("=", "@", "+", "-") and not number else text


def escape(text: str) -> str:
    r"""Text as LaTeX prints it.

    >>> escape("50 % of a_b")
    '50 \\% of a\\_b'
    """
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "°": r"$^\circ$",
        "×": r"$\times$",
        "−": "$-$",
        "—": "---",
        "±": r"$\pm$",
        "\n": " ",
        **{char: "\\" + char for char in "&%$#_{}"},
    }
    return "".join(special.get(char, char) for char in visible(text))
