"""The commands `auxbench results`: checking, merging, repairing, packing and exporting records."""

from __future__ import annotations

from pathlib import Path

import click

from auxbench.cli.options import format_option, results_option, rows, show
from auxbench.errors import UsageError


@click.group()
def results() -> None:
    """Check, merge, repair, pack and export folders of records."""


@results.command()
@results_option
@format_option
def check(results: str, style: str) -> int:
    """Read every record in a folder. Says which lines are damaged or wrong."""
    from auxbench.records import upkeep
    from auxbench.report.tables import Column, Table

    findings = upkeep.check(Path(results))
    columns = (Column("file", "file"), Column("records", "records"), Column("damaged", "damaged"))
    table = Table(
        results,
        columns,
        [{**vars(found), "damaged": len(found.problems)} for found in findings],
        tuple(problem for found in findings for problem in found.problems),
    )
    show([table], style)
    return int(any(found.problems for found in findings))


@results.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The folder to fill.")
def merge(sources: tuple[Path, ...], into: Path) -> None:
    """Add the records of the folders SOURCES to another. Records that it has already are kept."""
    from auxbench.records import upkeep

    done = upkeep.merge(sources, into)
    click.echo(f"{done.added} records added to '{into}'.")
    if done.different:
        shown = ", ".join(done.different[:6]) + (", ..." if len(done.different) > 6 else "")
        click.echo(
            f"{len(done.different)} runs have other results in '{into}', which were kept: {shown}."
        )
    if done.undeclared:
        shown = ", ".join(done.undeclared)
        click.echo(f"not all of these folders declared {shown}: exploratory, or declared late.")


@results.command()
@results_option
def repair(results: str) -> None:
    """Rewrite damaged files without unreadable lines. The old files are set aside."""
    from auxbench.records import upkeep

    aside = upkeep.repair(Path(results))
    for file in aside:
        click.echo(f"set aside as '{file}'")
    if not aside:
        click.echo(f"nothing is damaged in '{results}'.")


@results.command()
@results_option
def pack(results: str) -> None:
    """Compress the records of runs, to publish them. Commands read them as before."""
    from auxbench.records import upkeep

    for file in upkeep.pack(Path(results)):
        click.echo(f"{file.stat().st_size / 1e6:.1f} MB in '{file}'.")


@results.command()
@click.argument("file", type=click.Path(path_type=Path))
@results_option
def export(file: Path, results: str) -> None:
    """Write one row per run into FILE, a .csv or .parquet file."""
    from auxbench.report.escape import harmless

    found = rows(results)
    if file.suffix == ".csv":
        found.map(harmless).to_csv(file, index=False)
    elif file.suffix == ".parquet":
        try:
            found.to_parquet(file, index=False)
        except ImportError:
            raise UsageError(
                f"file '{file}' needs the package pyarrow; pip install 'auxbench[parquet]'."
            ) from None
    else:
        raise UsageError(f"file '{file}' has an unknown format; end its name in .csv or .parquet.")
    click.echo(f"{len(found)} runs in '{file}'.")
