"""Overviews: many differences on one screen, a row per method, after the verdicts in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from auxbench.data.progress import counted
from auxbench.report.comparison import Comparison
from auxbench.report.difference import Difference, shortened
from auxbench.report.tables import NOTHING, Column, Row, Table

MANY = 12  # differences from which on an overview is shown
LISTED = 12  # undecided methods that are named one by one
SIGNS = {"better": " ▲", "worse": " ▼", "equivalent": " =", "undecided": "  "}
WORDS = {"better": "better than", "equivalent": "equivalent to", "worse": "worse than"}
DETAILS = ("control", "median", "flip_low", "correlation", "detectable", "place")


def verdicts(comparison: Comparison) -> Iterator[str]:
    """The verdicts as a line each, or as a line per problem; the best methods come first."""
    groups = _by_place(comparison)
    for place, differences in groups.items():
        control = differences[0].control
        found = {
            verdict: [one.method for one in differences if one.verdict == verdict]
            for verdict in (*WORDS, "undecided")
        }
        undecided = found.pop("undecided")
        listed = f"{len(undecided)} of {len(differences)}"
        if len(undecided) <= LISTED and len(groups) == 1:
            listed = ", ".join(undecided)
        if len(groups) > 1:
            parts = [f"{verdict}: {', '.join(names)}" for verdict, names in found.items() if names]
            parts += [f"undecided: {listed}"] if undecided else []
            yield f"{place}: {'; '.join(parts)}."
            continue
        for verdict, names in found.items():
            if names:
                yield f"{WORDS[verdict].capitalize()} {control}: {', '.join(names)}."
        if undecided:
            yield f"Undecided against {control}: {listed}."


def overview(comparison: Comparison) -> Table:
    """The differences with a row per method, the best first, and the most important columns.

    On several problems there is a column for each, with the difference and the sign of its verdict.
    """
    groups = _by_place(comparison)
    return _across(comparison, groups) if len(groups) > 1 else _alone(comparison)


def _alone(comparison: Comparison) -> Table:
    table = comparison.table()
    rows = sorted(table.rows, key=lambda row: -row["difference"])
    pairs = {row["n"] for row in rows}
    hidden = {*DETAILS, *(["n"] if len(pairs) == 1 else [])}
    columns = tuple(
        replace(column, shown=column.shown and column.key not in hidden) for column in table.columns
    )
    title = table.title
    if len(pairs) == 1:
        title += f", {counted(pairs.pop(), 'pair')} each"
    return replace(table, title=title, columns=columns, rows=rows)


def _across(comparison: Comparison, groups: dict[str, list[Difference]]) -> Table:
    first = comparison.differences[0]
    methods: dict[str, dict[str, Difference]] = {}
    for place, differences in groups.items():
        for one in differences:
            methods.setdefault(one.method, {})[place] = one
    rows: list[Row] = [
        {"method": method, **{place: _cell(cells.get(place)) for place in groups}}
        for method, cells in sorted(methods.items(), key=lambda item: _merit(item[1]))
    ]
    titles = _titles(groups)
    columns = [
        Column("method", "method"),
        *(Column(place, titles[place], spare=at + 1) for at, place in enumerate(groups)),
    ]
    units = {" ".join(filter(None, (o.where["metric"], o.where["unit"]))) for o in _all(groups)}
    unit = units.pop() if len(units) == 1 else "the metric of each problem"
    note = (
        "▲ better, ▼ worse, = equivalent, no sign: undecided; by mean rank, the best first. --full "
        "has intervals and p-values, --matrix ranks."
    )
    return Table(
        f"Mean difference from {first.control} in {unit}, positive where the method is better",
        tuple(columns),
        rows,
        (note, *comparison.notes()),
        comparison.explanation(),
    )


def _cell(one: Difference | None) -> str:
    if one is None or not one.result.n:
        return NOTHING
    return f"{one.result.difference:+.{one.digits}f}{SIGNS[one.verdict]}"


def _merit(cells: dict[str, Difference]) -> tuple[int, float]:
    """Methods on most problems come first, then those of the best mean rank."""
    return -len(cells), sum(one.rank for one in cells.values()) / len(cells)


def _by_place(comparison: Comparison) -> dict[str, list[Difference]]:
    """The differences of every problem by its shortest label, the best first."""
    short = shortened(dict.fromkeys(one.place for one in comparison.differences))
    groups: dict[str, list[Difference]] = {}
    for one in comparison.differences:
        groups.setdefault(short[one.place], []).append(one)
    return {
        place: sorted(group, key=lambda one: -one.result.difference)
        for place, group in groups.items()
    }


def _titles(groups: dict[str, list[Difference]]) -> dict[str, str]:
    """The titles of columns: the data set where that is enough, or else the problem's label."""
    names = {place: group[0].where["dataset"].replace(":", ": ") for place, group in groups.items()}
    return names if len(set(names.values())) == len(names) else {place: place for place in groups}


def _all(groups: dict[str, list[Difference]]) -> Sequence[Difference]:
    return [one for group in groups.values() for one in group]
