"""Errors in one line: the thing, the value and the fix."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # categories of characters without a glyph


class AuxbenchError(Exception):
    """Any failure that auxbench explains in one line instead of a traceback."""


class UsageError(AuxbenchError):
    """A request that cannot be carried out as it was made; the command line exits with code 2."""


class Diverged(AuxbenchError):
    """A loss that stopped being a finite number; the run is recorded with status `diverged`."""


class Stopped(AuxbenchError):
    """A run that was asked to stop; it has been saved and leaves no record."""


def suggestion(name: str, names: Iterable[str]) -> str:
    """The tail of an error about an unknown name: the likely one, or else what there is.

    >>> suggestion("pc_grad", ["pcgrad", "gradnorm"])
    "did you mean 'pcgrad'?"
    >>> suggestion("xyz", ["pcgrad", "gradnorm"])
    'choose one of gradnorm, pcgrad.'
    """
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if len(known) > 12:
        known = [*known[:12], "..."]
    return f"choose one of {', '.join(known)}." if known else "there is none to choose from."


def reason(error: BaseException) -> str:
    """The cause of an error in one line without a full stop, for a message of ours.

    >>> reason(FileNotFoundError(2, "No such file or directory")), reason(EOFError())
    ('No such file or directory', 'EOFError')
    """
    text = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


def visible(text: str) -> str:
    r"""Text in which characters that control a terminal or the writing direction are escaped.

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
