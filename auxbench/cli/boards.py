"""Commands that conclude: `leaderboard` and `compare`."""

from __future__ import annotations

import click

from auxbench.cli.options import filters, format_option, rows, show


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
