"""Overviews: many differences on one screen, a row per method, after the verdicts in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from auxbench.data.progress import counted
from auxbench.report.comparison import Comparison
from auxbench.report.difference import Difference, shortened
from auxbench.report.tables import NOTHING, Column, Row, Table
from auxbench.report.terminal import TOGETHER

MANY = 12  # differences from which on an overview is shown
ROWS = 24  # of a table, so that it fits on a screen together with verdicts and notes
ACROSS = 20  # of a table on several problems, which have more verdicts
NAMED = 6  # methods of a verdict on one of several problems; the table has signs for the others
SIGNS = {"better": " ▲", "worse": " ▼", "equivalent": " =", "undecided": "  "}
WORDS = {
    "better": "better than",
    "equivalent": "equivalent to",
    "worse": "worse than",
    "undecided": "undecided against",
}
DETAILS = ("control", "median", "flip_low", "correlation", "detectable", "place")


def verdicts(comparison: Comparison, full: bool = False) -> Iterator[str]:
    """The verdicts as a line each, or as a line per problem; the best methods come first.

    On one problem, methods that have no row in the overview are named with their differences. With
    `full` the verdicts stand above all rows, and name all methods.
    """
    groups = _by_place(comparison)
    for place, differences in groups.items():
        found = {
            verdict: [one for one in differences if one.verdict == verdict] for verdict in WORDS
        }
        if len(groups) > 1:
            undecided = len(found.pop("undecided"))
            parts = [
                f"{verdict}: {_some(those, full)}" for verdict, those in found.items() if those
            ]
            parts += [f"undecided: {undecided} of {len(differences)}"] if undecided else []
            yield f"{place}: {'; '.join(parts)}."
            continue
        shown = {one.method for one in (differences if full else _foremost(differences))}
        for verdict, those in found.items():
            names = [
                one.method if one.method in shown else f"{one.method}{TOGETHER}{_number(one)}"
                for one in those
            ]
            if names:
                head = f"{WORDS[verdict]} {differences[0].control}"
                yield f"{head[0].upper()}{head[1:]}: {', '.join(names)}."


def _some(differences: Sequence[Difference], every: bool) -> str:
    """The methods of some differences, the first ones or all by name."""
    count = len(differences) if every else NAMED
    names = ", ".join(one.method for one in differences[:count])
    left = len(differences) - count
    return f"{names} and {left} more" if left > 0 else names


def overview(comparison: Comparison) -> Table:
    """The differences with a row per method, the best first, and the most important columns.

    On one problem there are at most `ROWS` rows, for what is decided before others and for large
    differences before small ones. On several there is a column for each, with the difference and
    the sign of its verdict, and at most `ACROSS` rows, for methods that are decided anywhere first.
    """
    groups = _by_place(comparison)
    if len(groups) > 1:
        return _across(comparison, groups)
    (differences,) = groups.values()
    return _alone(comparison, _foremost(differences))


def _foremost(differences: Sequence[Difference]) -> list[Difference]:
    """The differences that have a row, in their order."""

    def weight(one: Difference) -> tuple[bool, float]:
        return one.verdict == "undecided", -abs(one.result.difference)

    kept = {one.method for one in sorted(differences, key=weight)[:ROWS]}
    return [one for one in differences if one.method in kept]


def _alone(comparison: Comparison, shown: Sequence[Difference]) -> Table:
    table = replace(comparison, differences=tuple(shown)).table()
    rows = table.rows
    left = len(comparison.differences) - len(rows)
    pairs = {row["n"] for row in rows}
    hidden = {*DETAILS, *(["n"] if len(pairs) == 1 else [])}
    columns = tuple(
        replace(column, shown=column.shown and column.key not in hidden) for column in table.columns
    )
    title = table.title
    if len(pairs) == 1:
        title += f", {counted(pairs.pop(), 'pair')} each"
    notes = dict.fromkeys((*comparison.beside(shown), *comparison.notes()))
    if left:
        title += f"; the foremost {len(rows)} of {len(comparison.differences)}, --full has all"
    return replace(table, title=title, columns=columns, rows=rows, notes=tuple(notes))


def _across(comparison: Comparison, groups: dict[str, list[Difference]]) -> Table:
    first = comparison.differences[0]
    methods: dict[str, dict[str, Difference]] = {}
    for place, differences in groups.items():
        for one in differences:
            methods.setdefault(one.method, {})[place] = one
    order = sorted(methods, key=lambda method: _merit(methods[method]))
    kept = set(sorted(order, key=lambda method: _open(methods[method]))[:ACROSS])
    rows: list[Row] = [
        {"method": method, **{place: _cell(methods[method].get(place)) for place in groups}}
        for method in order
        if method in kept
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
    left = ", ".join(method for method in order if method not in kept)
    more = [f"Only with --full or --matrix: {left}."] if left else []
    return Table(
        f"Mean difference from {first.control} in {unit}, positive where the method is better",
        tuple(columns),
        rows,
        (*more, note, *comparison.notes()),
        comparison.explanation(),
    )


def _cell(one: Difference | None) -> str:
    return NOTHING if one is None or not one.result.n else f"{_number(one)}{SIGNS[one.verdict]}"


def _number(one: Difference) -> str:
    return f"{one.result.difference:+.{one.digits}f}" if one.result.n else NOTHING


def _merit(cells: dict[str, Difference]) -> tuple[int, float]:
    """Methods on most problems come first, then those of the best mean rank."""
    return -len(cells), sum(one.rank for one in cells.values()) / len(cells)


def _open(cells: dict[str, Difference]) -> bool:
    """Return whether nothing is decided about a method."""
    return all(one.verdict == "undecided" for one in cells.values())


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
