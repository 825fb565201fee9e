"""The runs of one problem, as arrays: what boards and comparisons are computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Runs:
    """The columns of a problem's runs, as in a frame; they keep the order of the records."""

    columns: Mapping[str, npt.NDArray[Any]]

    def __getitem__(self, key: str) -> npt.NDArray[Any]:
        return self.columns[key]

    def __len__(self) -> int:
        return len(self.columns["problem"])

    @cached_property
    def methods(self) -> dict[str, npt.NDArray[np.intp]]:
        """The places of every method's runs; methods are in the order of their first runs."""
        names = self["method"]
        rest = np.arange(len(self))
        found: dict[str, npt.NDArray[np.intp]] = {}
        for method in dict.fromkeys(names.tolist()):
            alike = names[rest] == method
            found[method], rest = rest[alike], rest[~alike]
        return found

    @cached_property
    def numbers(self) -> npt.NDArray[np.intp]:
        """The number of every run's method, in the order of `methods`."""
        found = np.empty(len(self), dtype=np.intp)
        for number, places in enumerate(self.methods.values()):
            found[places] = number
        return found

    @cached_property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Marks of the runs that have a score."""
        found: npt.NDArray[np.bool_] = ~np.isnan(self["value"])
        return found

    def distinct(self, key: str) -> list[Any]:
        """The values in a column, without those that are missing, in the order of the records."""
        found = dict.fromkeys(self[key].tolist())
        return [value for value in found if value is not None and value == value]


def problems(rows: pandas.DataFrame) -> Iterator[Runs]:
    """The runs of every problem in a frame; only runs of the same problem are comparable."""
    import pandas

    codes, names = pandas.factorize(rows["problem"])
    order = np.argsort(codes, kind="stable")
    columns = {str(key): rows[key].to_numpy()[order] for key in rows.columns}
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    for low, high in pairwise(bounds.tolist()):
        yield Runs({key: column[low:high] for key, column in columns.items()})
