"""Content: the numbers of figures, from the functions that give the page and the tables theirs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auxbench.errors import UsageError, suggestion
from auxbench.report.board import boards
from auxbench.report.comparison import Comparison, compare
from auxbench.report.difference import places_of, shortened
from auxbench.report.family import Looks, Pair
from auxbench.report.figure.sheet import Mark, marks
from auxbench.report.page.detail import Detail
from auxbench.report.page.packed import rows as unpacked
from auxbench.report.page.problem import Pools, problem
from auxbench.stats.runs import problems

if TYPE_CHECKING:
    import pandas

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """One problem as the page has it, with the chosen methods only.

    `board` has the rows of its board by method, the best first, `compared` the rows of
    `auxbench compare` with every seed's difference, `pairs` which two methods of the board are told
    apart, the better one first, and `lines` the curves, links and weights.
    """

    name: str
    short: str
    metric: str
    unit: str
    direction: str
    digits: int
    board: Mapping[str, Row]
    compared: Mapping[str, Row]
    pairs: frozenset[tuple[str, str]]
    lines: Mapping[str, Row]
    use: str | None

    @property
    def score(self) -> str:
        """The metric with its unit."""
        return " ".join(filter(None, (self.metric, self.unit))) or "score"

    @property
    def margin(self) -> float:
        """The difference below which methods are equivalent; 0 if none is declared."""
        return next((row["margin"] or 0.0 for row in self.compared.values()), 0.0)

    def front(self, cost: str) -> dict[str, str | None]:
        """The method that dominates each: told apart as better, and known to cost no more.

        None stands for a method on the front; those of unknown cost are left out. An interval
        decides, never the mean alone.
        """
        known = {name: row[cost] for name, row in self.board.items() if row[cost] is not None}
        return {
            name: next(
                (o for o in known if known[o] <= price and (o, name) in self.pairs),
                None,
            )
            for name, price in known.items()
        }


@dataclass(frozen=True)
class Content:
    """The content of figures: problems, comparisons with the control, and marks of methods.

    `chosen` are the methods that were asked for; none stands for all. `missing` says why there is
    no comparison. `bare` figures have no notes.
    """

    control: str
    chosen: tuple[str, ...]
    places: tuple[Place, ...]
    comparison: Comparison | None
    marks: Mapping[str, Mark]
    missing: str = ""
    bare: bool = False

    def noted(self, *notes: str) -> list[str]:
        """The notes below a figure; none if figures are bare."""
        return [] if self.bare else list(notes)


def content(
    rows: pandas.DataFrame,
    details: Mapping[str, Detail],
    methods: Sequence[str] = (),
    control: str = "single",
    *,
    within: Collection[str] | None = None,
    looks: Looks | None = None,
    declared: Mapping[Pair, int] | None = None,
    bare: bool = False,
) -> Content:
    """The content of figures on the runs in a frame, whose details are given by their ids.

    `methods` and `within` select what is shown, not how it is judged, as in `compare`. Errors:
    `UsageError` for a method that is not recorded.
    """
    present = sorted(set(rows["method"]))
    for name in methods:
        if name not in present:
            raise UsageError(f"no record has method '{name}'; {suggestion(name, present)}")
    others = [name for name in methods if name != control]
    comparison, missing = None, ""
    try:
        comparison = compare(
            rows, others, control, within=within, looks=looks or {}, declared=declared or {}
        )
    except UsageError as error:
        missing = str(error)  # curves, links and weights need no control
    wanted = {*methods, control} if methods else set(present)
    if within is not None:
        rows = rows[rows["problem"].isin(list(within))]
    every = list(problems(rows))
    places = places_of(str(runs["problem"][0]) for runs in every)
    short = shortened(places.values())
    pools, found = Pools(), []
    for runs, table in zip(every, boards(rows), strict=True):
        name = str(runs["problem"][0])
        held = [comparison] if comparison else []
        packed = problem(runs, table, places[name], held, details, pools)
        found.append(_place(packed, short[places[name]], control, wanted))
    return Content(
        control,
        tuple(methods),
        tuple(place for place in found if place.board),
        comparison,
        marks(present),
        missing,
        bare,
    )


def _place(packed: Row, short: str, control: str, wanted: Collection[str]) -> Place:
    board = unpacked(packed["board"]["columns"], packed["board"]["count"])
    order = [row["method"] for row in board]
    kept = [name for name in order if name in wanted]
    versus = packed["comparisons"].get(control)
    compared = {}
    if versus:
        rows = unpacked(versus["columns"], versus["count"])
        for row, differences in zip(rows, versus["differences"], strict=True):
            compared[row["method"]] = {
                **row,
                "differences": differences,
                "digits": versus["digits"],
            }
    pairs = ((one, other) for at, one in enumerate(order) for other in order[at + 1 :])
    apart = (pair for pair, flag in zip(pairs, packed["apart"], strict=True) if flag == "1")
    return Place(
        packed["name"],
        short,
        packed["metric"] or "",
        packed["unit"] or "",
        packed["direction"],
        packed["digits"],
        {row["method"]: row for row in board if row["method"] in kept},
        {name: row for name, row in compared.items() if name in kept},
        frozenset(pair for pair in apart if set(pair) <= set(kept)),
        {name: packed["lines"][order.index(name)] for name in kept},
        versus["conclusion"]["use"] if versus else None,
    )


def finite(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)
