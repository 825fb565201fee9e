"""Selects the runs for a board or comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auxbench.errors import UsageError, suggestion

if TYPE_CHECKING:
    import pandas


def select(rows: pandas.DataFrame, **wanted: str | None) -> pandas.DataFrame:
    """The runs whose columns match; a name without options matches that name with any options.

    Errors: `UsageError` for a filter that no run passes, with the most likely value.
    """
    for key, name in wanted.items():
        if name is None:
            continue
        texts = rows[key].astype(str)
        found = (texts == name) | (texts.str.partition(":")[0] == name)
        if not found.any():
            present = {one for text in texts.unique() for one in (text, text.partition(":")[0])}
            raise UsageError(f"no record has {key} '{name}'; {suggestion(name, present)}")
        rows = rows[found]
    return rows
