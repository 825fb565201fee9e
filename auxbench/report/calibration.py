"""Rates of false claims, as a table and as the sentence that every comparison quotes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from auxbench.report.tables import Column, Table
from auxbench.stats.calibrate import LIMITS, SHAPES, Rate, measured, resampled
from auxbench.stats.runs import problems

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    Column("shape", "methods' noise"),
    Column("seeds", "seeds"),
    Column("methods", "methods"),
    Column("problems", "problems"),
    Column("draws", "families"),
    Column("rate", "false claims", 3),
    Column("excessive", "excessive"),
)


def table(rates: Iterable[Rate]) -> Table:
    """One row per setting; 'excessive' marks rates above 5 % by more than four standard errors."""
    rows = [rate.to_json() for rate in rates]
    for row in rows:
        row["excessive"] = "yes" if row["excessive"] else ""
    note = (
        "Share of families in which a method was called better or worse although all methods have "
        "the same mean as their control; it should be at most 0.05. Collapses are 8 standard "
        "deviations deep."
    )
    return Table("", COLUMNS, rows, (note,))


def real(rows: pandas.DataFrame, seeds: Iterable[int] = (3, 5, 10, 20)) -> list[Rate]:
    """The rates on recorded runs, comparing every method that has enough seeds with itself."""
    rates = []
    found = [(runs, *item) for runs in problems(rows) for item in runs.methods.items()]
    for runs, method, places in found:
        scores = runs["value"][places[runs.scored[places]]].tolist()
        problem = runs["problem"][0]
        for count in seeds:
            if len(scores) >= 3 * count:
                rate = resampled(scores, count)
                name = f"{method} on {problem}, {len(scores)} seeds"
                rates.append(Rate(name, count, 1, 1, rate.draws, rate.rate))
    return rates


def sentence() -> str:
    """One sentence on the measured rates of false claims, for the notes of a report."""
    rates = measured()
    worst = max(100 * rate.rate for rate in rates if rate.shape not in LIMITS)
    method, control = (
        max(100 * rate.rate for rate in rates if rate.shape == limit) for limit in LIMITS
    )
    return (
        f"False claims, simulated for methods of equal mean with {len(SHAPES)} shapes of noise and "
        f"collapses: in at most {worst:.1f} % of families; in up to {method:.0f} % where one "
        f"method alone collapses in a tenth of its runs, and in up to {control:.0f} % where the "
        "control alone does (auxbench calibrate)."
    )
