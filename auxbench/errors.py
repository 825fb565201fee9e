"""What goes wrong, in one line: the thing, the value, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
