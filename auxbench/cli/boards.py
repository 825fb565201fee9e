"""Commands that conclude: `leaderboard`, `compare` and `calibrate`."""

from __future__ import annotations

import click

from auxbench.cli.options import filters, format_option, rows, show
from auxbench.errors import UsageError


@click.command()
@filters
@format_option
def leaderboard(results: str, style: str, **chosen: str | None) -> None:
    """Rank the methods of every problem by their primary score."""
    from auxbench.report.board import boards

    show(boards(rows(results, **chosen)), style)


@click.command()
@click.argument("methods", nargs=-1)
@click.option("--control", help="Compare all methods, or the named ones, with this one.")
@click.option("--matrix", is_flag=True, help="One row per method, one column per problem.")
@filters
@format_option
def compare(
    methods: tuple[str, ...],
    control: str | None,
    matrix: bool,
    results: str,
    style: str,
    **chosen: str | None,
) -> None:
    """Compare METHODS by their paired seeds, and say what can be concluded."""
    from auxbench.report.comparison import compare as make_comparison
    from auxbench.report.matrix import matrix as make_matrix

    comparison = make_comparison(rows(results, **chosen), methods, control)
    show([make_matrix(comparison) if matrix else comparison.table()], style)
    if style == "text" and not matrix:
        for sentence in comparison.sentences():
            click.echo(sentence)


@click.command()
@click.option("--draws", default=2000, show_default=True, help="Simulated families per setting.")
@click.option("--results", help="Folder of records: resample its methods instead of simulating.")
@format_option
def calibrate(draws: int, results: str | None, style: str) -> None:
    """Measure how often the decisions claim a difference where there is none."""
    from auxbench.report.calibration import real, table
    from auxbench.stats.calibrate import calibrate as simulate

    rates = real(rows(results)) if results else list(simulate(draws))
    if not rates:
        raise UsageError(f"no method in '{results}' has 9 seeds; record more of one.")
    show([table(rates)], style)
