"""Commands that draw conclusions: `leaderboard`, `compare`, `report`, `plot` and `calibrate`."""

from __future__ import annotations

import click

from auxbench.cli.options import explain_option, filters, format_option, rows, show, tell
from auxbench.errors import UsageError, suggestion
from auxbench.spec.grammar import split_list


@click.command()
@click.option("--paper", is_flag=True, help="LaTeX table of gains over --control and cost ratios.")
@click.option("--control", default="single", show_default=True, help="Control of --paper.")
@click.option("--columns", help="Columns of --paper, such as method,gain,training.")
@click.option("--order", help="Methods of --paper, in this order.")
@filters
@explain_option
@format_option
def leaderboard(
    paper: bool,
    control: str,
    columns: str | None,
    order: str | None,
    results: str,
    explain: bool,
    style: str,
    **chosen: str | None,
) -> None:
    """Show methods in tiers, problem by problem. They are sorted by their primary score."""
    from auxbench.report.board import boards

    found = rows(results, **chosen)
    if paper:
        from auxbench.report.paper import TITLES
        from auxbench.report.paper import paper as table

        names = split_list(columns) if columns else list(TITLES)
        click.echo(table(found, control, names, split_list(order or "")), nl=False)
    else:
        show(boards(found), style, explain)


@click.command()
@click.argument("methods", nargs=-1)
@click.option("--control", help="Compare all methods, or the named ones, with this one.")
@click.option("--matrix", is_flag=True, help="One row per method, one column per problem.")
@click.option("--profile", is_flag=True, help="How many runs gain how much over the control.")
@click.option("--diagram", is_flag=True, help="Critical-difference diagram over many problems.")
@click.option("--full", is_flag=True, help="All numbers of many comparisons, not an overview.")
@filters
@explain_option
@format_option
def compare(
    methods: tuple[str, ...],
    control: str | None,
    matrix: bool,
    profile: bool,
    diagram: bool,
    full: bool,
    results: str,
    explain: bool,
    style: str,
    **chosen: str | None,
) -> None:
    """Compare METHODS by their paired seeds. Says in words what can be concluded."""
    from auxbench.records.declared import Declared
    from auxbench.records.looks import Looks
    from auxbench.report.across import profiles
    from auxbench.report.comparison import Comparison
    from auxbench.report.comparison import compare as make_comparison
    from auxbench.report.conclusion import conclusions
    from auxbench.report.diagram import diagram as make_diagram
    from auxbench.report.matrix import matrix as make_matrix
    from auxbench.report.overview import MANY, overview, verdicts
    from auxbench.report.terminal import folded

    comparison = make_comparison(
        rows(results),
        methods,
        control,
        within=set(rows(results, **chosen)["problem"]) if any(chosen.values()) else None,
        looks=Looks(results).latest(),
        declared=Declared(results).pairs(),
    )
    if matrix + profile + diagram > 1:
        raise UsageError("--matrix, --profile and --diagram are tables; ask for one at a time.")
    if diagram:
        show([make_diagram(comparison.problems)], style)
        return
    table = make_matrix if matrix else profiles if profile else Comparison.table
    if style == "text" and not (matrix or profile):
        many = len(comparison.differences) > MANY
        table = overview if many and not full else table
        for line in verdicts(comparison, full) if many else conclusions(comparison.differences):
            click.echo(folded(line))
        click.echo()
    show([table(comparison)], style, explain)


@click.command()
@click.option("--out", default="report.html", show_default=True, help="File of the page.")
@click.option(
    "--control",
    "controls",
    show_default="single,hps",
    help="Methods that the others are compared with.",
)
@filters
def report(out: str, controls: str | None, results: str, **chosen: str | None) -> None:
    """Write one HTML page with conclusions, boards, figures and runs. It needs no network."""
    from pathlib import Path

    from auxbench.data.progress import counted
    from auxbench.records.declared import Declared
    from auxbench.records.looks import Looks
    from auxbench.records.store import Store
    from auxbench.report.page.detail import Detail
    from auxbench.report.page.document import document
    from auxbench.report.page.html import page
    from auxbench.report.page.predictions import LIMIT, predictions

    store, found = Store(Path(results)), rows(results)
    for control in split_list(controls or ""):
        if control not in (present := sorted(set(found["method"]))):
            raise UsageError(f"no record has method '{control}'; {suggestion(control, present)}")
    made = document(
        found,
        store.kept(Detail.of),
        folder=results,
        controls=split_list(controls or "single,hps"),
        within=set(rows(results, **chosen)["problem"]) if any(chosen.values()) else None,
        looks=Looks(results).latest(),
        declared=Declared(results).pairs(),
    )
    text = page(made)
    pictures, problems = predictions(made, store, LIMIT - len(text))
    tell(problems)
    if pictures:
        text = page({**made, "predictions": pictures})
    Path(out).write_text(text, encoding="utf-8")
    shown = counted(made["runs"], "run"), counted(len(made["problems"]), "problem")
    click.echo(f"wrote {out}: {shown[0]} on {shown[1]}.")


@click.command()
@click.argument("figures", nargs=-1, metavar="[FIGURE]...")
@click.option(
    "--out", default="figures", show_default=True, help="Folder, or a .pdf, .png or .svg file."
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["pdf", "png", "svg"]),
    help="Format of files in a folder; default pdf.",
)
@click.option(
    "--width",
    default="column",
    show_default=True,
    help="column (84 mm), page (174 mm), or millimetres.",
)
@click.option("--methods", help="Only these methods, such as hps,auxnas+pcgrad.")
@click.option("--control", default="single", show_default=True, help="Compare with this method.")
@click.option(
    "--cost",
    type=click.Choice(["flops", "seconds"]),
    default="flops",
    show_default=True,
    help="Cost of training in the figure cost.",
)
@click.option("--bare", is_flag=True, help="Leave the notes below figures to the caption.")
@filters
def plot(
    figures: tuple[str, ...],
    out: str,
    style: str | None,
    width: str,
    methods: str | None,
    control: str,
    cost: str,
    bare: bool,
    results: str,
    **chosen: str | None,
) -> None:
    """Draw figures for a paper: forest, heat, cost, curves, links, weights, ranks. Default all."""
    from pathlib import Path

    from auxbench.records.declared import Declared
    from auxbench.records.looks import Looks
    from auxbench.records.store import Store
    from auxbench.report.figure.content import content
    from auxbench.report.figure.gallery import FIGURES, points_of, sheets, write
    from auxbench.report.figure.sheet import drawing
    from auxbench.report.page.detail import Detail

    wide = points_of(width)
    with drawing():
        shown = content(
            rows(results),
            Store(Path(results)).kept(Detail.of),
            split_list(methods or ""),
            control,
            within=set(rows(results, **chosen)["problem"]) if any(chosen.values()) else None,
            looks=Looks(results).latest(),
            declared=Declared(results).pairs(),
            bare=bare,
        )
        drawn = sheets(shown, figures, wide, f"train_{cost}")
        left = dict.fromkeys(figures or FIGURES)
        for path, _ in write(drawn, Path(out), style):
            left.pop(path.stem.partition("-")[0], None)
            click.echo(f"wrote {path}")
    if left and not figures:
        click.echo(f"not drawn: {', '.join(left)}; name one to see why.", err=True)


@click.command()
@click.option("--draws", default=2000, show_default=True, help="Simulated families per setting.")
@click.option("--results", help="Folder of records: resample its methods instead of simulating.")
@format_option
def calibrate(draws: int, results: str | None, style: str) -> None:
    """Measure the rate of false claims. Simulates, or uses recorded runs with --results."""
    from auxbench.report.calibration import real, table
    from auxbench.stats.calibrate import calibrate as simulate

    rates = real(rows(results)) if results else list(simulate(draws))
    if not rates:
        raise UsageError(f"no method in '{results}' has 9 seeds; record more of one.")
    show([table(rates)], style)
