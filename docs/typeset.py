"""Docstrings as Markdown: prose in which only code is marked up, symbols with indices, tables."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

GREEK = {
    "alpha": "α", "beta": "β", "eta": "η", "lambda": "λ", "mu": "μ", "phi": "φ", "tau": "τ",
    "theta": "θ",
}  # fmt: skip
# A letter with an index below, above or both, such as n_i, f_i^t and w^(-1/alpha), or a Greek one.
SYMBOL = re.compile(
    rf"(?<![\w`\\/.=])(?:({'|'.join(GREEK)})(?![\w`=])|([A-Za-z]|{'|'.join(GREEK)})(?=[_^]))"
    r"(?:_([a-z0-9]+))?(?:\^(-?\w+|\([^()]*\)))?"
)
ADDRESS = re.compile(r"https?://[^\s)]*[^\s).,:;]")


def grid(head: Iterable[str], body: Iterable[Iterable[str]], aligned: str) -> str:
    """A table in Markdown; `aligned` has an l or r for every column."""
    marks = {"l": ":--", "r": "--:"}
    lines = [head, [marks[one] for one in aligned], *body]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """The text of a cell, in which a bar ends no column; in code it does not anyway."""
    pieces = text.split("`")
    pieces[::2] = [piece.replace("|", "&#124;") for piece in pieces[::2]]
    return "`".join(pieces)


def prose(text: str) -> str:
    """Prose of a docstring as Markdown: only what stands between backticks is marked up."""
    pieces = " ".join(text.split()).split("`")
    for at in range(0, len(pieces), 2):
        plain = html.escape(pieces[at], quote=False)
        plain = re.sub(r"([*_\[\]\\])", r"\\\1", symbols(ADDRESS.sub(r"<\g<0>>", plain)))
        pieces[at] = re.sub(r"<(var|sub|sup|/|http)[^>]*>", lambda m: m[0].replace("\\", ""), plain)
    return "`".join(pieces)


def symbols(text: str) -> str:
    """Symbols with their indices below and above, and signs that a keyboard lacks."""

    def typeset(found: re.Match[str]) -> str:
        letter = found[1] or found[2]
        below = f"<sub>{found[3]}</sub>" if found[3] else ""
        above = re.sub(r"[a-z]+", lambda word: GREEK.get(word[0], word[0]), found[4] or "")
        above = f"<sup>{above.strip('()').replace('-', '−')}</sup>" if above else ""
        return f"<var>{GREEK.get(letter, letter)}</var>{below}{above}"

    text = SYMBOL.sub(typeset, text)
    text = re.sub(r"\b(sum|[a-z]+|(?<=\)))_([a-z])(?!\w)", _indexed, text)
    text = re.sub(
        r"(?<=[)|])\^(-?\w+)", lambda found: f"<sup>{found[1].replace('-', '−')}</sup>", text
    )
    return text.replace("&gt;=", "≥").replace("&lt;=", "≤")


def _indexed(found: re.Match[str]) -> str:
    """A word or bracket with an index of one letter, such as sum_a."""
    return f"{'Σ' if found[1] == 'sum' else found[1]}<sub>{found[2]}</sub>"
