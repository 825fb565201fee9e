"""The document of a page: everything that it shows, as one JSON value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auxbench import __version__
from auxbench.errors import UsageError
from auxbench.report.board import boards
from auxbench.report.calibration import sentence
from auxbench.report.comparison import Comparison, compare
from auxbench.report.difference import places_of, shortened
from auxbench.report.family import Looks, Pair
from auxbench.report.method import LEGEND
from auxbench.report.page.conclusion import headline
from auxbench.report.page.detail import Detail
from auxbench.report.page.look import looks as looks_of
from auxbench.report.page.parts import parts
from auxbench.report.page.problem import Pools, problem
from auxbench.stats.runs import problems

if TYPE_CHECKING:
    import pandas

CONTROLS = ("single", "hps")  # the single-task network, and the plain sum


def document(
    rows: pandas.DataFrame,
    details: Mapping[str, Detail],
    *,
    folder: str = "",
    controls: Sequence[str] = CONTROLS,
    within: Collection[str] | None = None,
    looks: Looks | None = None,
    declared: Mapping[Pair, int] | None = None,
) -> dict[str, Any]:
    """The content of a page on the runs in a frame, whose details are given by their ids.

    Every one of `controls` that is recorded beside other methods has its own comparisons. `within`,
    names of problems, selects what is shown but not how it is judged, as in `compare`.
    """
    methods = sorted(set(rows["method"]))
    comparisons = _comparisons(rows, controls, within, looks or {}, declared or {})
    if within is not None:
        rows = rows[rows["problem"].isin(list(within))]
    tables = boards(rows)
    every = list(problems(rows))
    places = places_of(str(runs["problem"][0]) for runs in every)
    short, pools = shortened(places.values()), Pools()
    found = [
        problem(runs, table, places[str(runs["problem"][0])], comparisons, details, pools)
        for runs, table in zip(every, tables, strict=True)
    ]
    return {
        "version": __version__,
        "folder": folder,
        "runs": len(rows),
        "problems": [{**one, "short": short[one["place"]]} for one in found],
        "looks": looks_of(methods),
        "controls": [one.differences[0].control for one in comparisons],
        "headlines": {
            one.differences[0].control: _headline(found, one.differences[0].control)
            for one in comparisons
        },
        "notes": {
            one.differences[0].control: [*one.explanation(), *one.notes()] for one in comparisons
        },
        "pools": pools.to_json(),
        "parts": parts(name for one in found for names in one["parts"] for name in names),
        "legend": LEGEND,
        "calibration": sentence(),
    }


def _comparisons(
    rows: pandas.DataFrame,
    controls: Sequence[str],
    within: Collection[str] | None,
    looks: Looks,
    declared: Mapping[Pair, int],
) -> list[Comparison]:
    """The comparison against each control; controls that have no partner are left out."""
    present, found = set(rows["method"]), []
    for control in dict.fromkeys(controls):
        if control in present and len(present) > 1:
            try:
                one = compare(rows, (), control, within=within, looks=looks, declared=declared)
            except UsageError:
                continue  # it shares no problem with another method
            found.append(one)
    return found


def _headline(found: Sequence[Mapping[str, Any]], control: str) -> str:
    known = {
        one["place"]: one["comparisons"][control]["conclusion"]
        for one in found
        if control in one["comparisons"]
    }
    tuned = all(
        tuning.startswith("tuned")
        for one in found
        for method, tuning in _tunings(one["board"])
        if method == control
    )
    return headline(known, control, tuned)


def _tunings(board: Mapping[str, Any]) -> list[tuple[str, str]]:
    columns, count = board["columns"], board["count"]
    method, tuning = (
        value if isinstance(value, list) else [value] * count
        for value in (columns["method"], columns["tuning"])
    )
    return list(zip(method, tuning, strict=True))
