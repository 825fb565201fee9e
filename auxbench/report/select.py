"""Selects the records for a board or comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from auxbench.errors import UsageError, suggestion

Record = dict[str, Any]


def select(
    records: Sequence[Record],
    *,
    dataset: str | None = None,
    primary: str | None = None,
    backbone: str | None = None,
    budget: str | None = None,
) -> list[Record]:
    """The records that match; a name without options matches that name with any options.

    Errors: `UsageError` for a filter that no record passes, with the most likely value.
    """
    chosen = list(records)
    filters = {"dataset": dataset, "primary": primary, "backbone": backbone, "budget": budget}
    for key, wanted in filters.items():
        if wanted is None:
            continue
        found = [record for record in chosen if wanted in _names(record, key)]
        if not found:
            present = {name for record in chosen for name in _names(record, key)}
            raise UsageError(f"no record has {key} '{wanted}'; {suggestion(wanted, present)}")
        chosen = found
    return chosen


def _names(record: Record, key: str) -> set[str]:
    run = record["run"]
    text = run["recipe"]["budget"] if key == "budget" else run[key]
    return {text, text.split(":")[0]}
