"""The declared study of `auxbench advise`: its control, its methods and how time is divided."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from auxbench.errors import UsageError
from auxbench.spec.grammar import split_list
from auxbench.spec.study import MOST

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Design:
    """The design of a study that answers which auxiliary and which method to use.

    Every one of `methods` is tried with every auxiliary alone and with all together, on `trials`
    points with `tuning_seeds` seeds each, for at most the share `screening` of the time; at most
    `finalists` of these are then compared with the `control` on fresh seeds.

    >>> Design.declared().with_changes(methods="static", trials=2).methods
    ('static',)
    """

    control: str
    methods: tuple[str, ...]
    trials: int
    tuning_seeds: int
    finalists: int
    screening: float

    @classmethod
    def declared(cls) -> Design:
        """The design in `advice.toml` beside this file."""
        return cls(**_read())

    def with_changes(self, *, methods: str | None = None, **changes: Any) -> Design:
        """The design with some values set by the user; None changes nothing.

        Errors: `UsageError` for a number below 1, and for the control among the methods.
        """
        given = {key: value for key, value in changes.items() if value is not None}
        if methods is not None:
            given["methods"] = tuple(split_list(methods))
        changed = replace(self, **given)
        for name in ("trials", "tuning_seeds", "finalists"):
            count = getattr(changed, name)
            if not 1 <= count <= MOST:
                raise UsageError(f"{name} is {count}; ask for 1 to {MOST:,}.")
        if not changed.methods:
            raise UsageError("methods is empty; name at least one.")
        if changed.control in changed.methods:
            raise UsageError(
                f"method '{changed.control}' is the control, which is always trained; leave it out."
            )
        return changed


@cache
def _read() -> dict[str, Any]:
    words = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {**words, "methods": tuple(words["methods"])}
