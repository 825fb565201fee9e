"""Escaping: text that no terminal, spreadsheet or typesetter mistakes for a command."""

from __future__ import annotations

from typing import Any

from auxbench.errors import visible


def harmless(value: Any) -> Any:
    """The value, quoted if it is text that a spreadsheet would take for a formula."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    number = text.lstrip("+-")[:1].isdigit()
    return f"'{text}" if text[:1] in ("=", "@", "+", "-") and not number else text


def escape(text: str) -> str:
    r"""Text escaped for LaTeX.

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
        "●": r"$\bullet$",
        "·": r"$\cdot$",
        "├": r"$\vdash$",
        "─": "--",
        "┤": r"$\dashv$",
        "\n": " ",
        **{char: "\\" + char for char in "&%$#_{}"},
    }
    return "".join(special.get(char, char) for char in visible(text))
