"""Loaded results: the runs of a folder, and what was recorded while they trained, as frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from auxbench.errors import UsageError
from auxbench.records.ledger import Ledger
from auxbench.records.store import Store
from auxbench.stats.frame import frame

if TYPE_CHECKING:
    import pandas

CURVES = ("id", "problem", "method", "seed", "step", "quantity", "place", "value")


class Loaded(NamedTuple):
    """One row per run, and one row per number that was recorded at a validation."""

    runs: pandas.DataFrame
    curves: pandas.DataFrame


def load(folder: str | Path) -> Loaded:
    """The results in a folder, for analyses of one's own.

    `runs` has one row per run, with its score, costs and entry. `curves` is in long form: `step` is
    the training step of the validation, `quantity` what was recorded there, such as
    'validation/depth/abs', 'loss/depth', 'weight/depth' or 'links/a2p/depth', and `place` the
    position in quantities that are lists, such as the strengths of links, else 0. Both can be
    written by `to_parquet`. Errors: `UsageError` for a folder without records.

    >>> load("no-such-folder")
    Traceback (most recent call last):
    auxbench.errors.UsageError: no records in 'no-such-folder'; name a folder of results.
    """
    import pandas

    store = Store(folder)
    records = store.runs()
    if not records:
        raise UsageError(f"no records in '{folder}'; name a folder of results.")
    runs = frame(records, Ledger(folder).tunings())
    named = runs.set_index("id")[["problem", "method", "seed"]].to_dict("index")
    rows = [
        (record["id"], *named[record["id"]].values(), *row)
        for record in records
        for row in recorded(record)
    ]
    return Loaded(runs, pandas.DataFrame(rows, columns=list(CURVES)))


def recorded(record: Mapping[str, Any]) -> Iterator[tuple[int, str, int, float | None]]:
    """Every number of a run's curve: its step, quantity, place and value."""
    for look in record.get("curve") or ():
        step = look["step"]
        for score in look.get("scores") or ():
            yield step, f"{score['split']}/{score['task']}/{score['metric']}", 0, score["value"]
        for name, value in (look.get("scalars") or {}).items():
            yield step, name, 0, value
        for name, values in (look.get("traces") or {}).items():
            listed = values if isinstance(values, list) else [values]
            for place, value in enumerate(listed):  # of strangers' records, anything
                yield step, name, place, value if isinstance(value, int | float) else None
