"""The command `auxbench export`: finished runs for other tools."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

from auxbench.cli.options import filters, rows
from auxbench.data.progress import counted
from auxbench.errors import AuxbenchError, UsageError, reason
from auxbench.report.exporters import LIBRARIES


@click.command()
@click.argument("library", type=click.Choice(LIBRARIES))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The folder to fill; a new one."
)
@filters
def export(library: str, out: Path, results: str, **chosen: str | None) -> None:
    """Write finished runs as LIBRARY keeps them. It must be installed."""
    from rich.console import Console
    from rich.progress import track

    from auxbench.records.store import Store
    from auxbench.report.exporters.run import exported

    if find_spec(library) is None:
        raise UsageError(
            f"export to {library} needs the package {library}; pip install 'auxbench[{library}]'."
        )
    found = rows(results, **chosen)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"'{out}' is there already, and not empty; name a new folder.")
    out.mkdir(parents=True, exist_ok=True)
    runs = track(
        exported(Store(Path(results)).runs(), found),
        f"to {library}",
        total=len(found),
        console=Console(stderr=True),
        disable=not Console(stderr=True).is_terminal,
    )
    try:
        import_module(f"auxbench.report.exporters.{library}").export(runs, out)
    except Exception as error:  # of a library that is not ours
        raise AuxbenchError(
            f"{library} cannot write into '{out}' ({type(error).__name__}: {reason(error)})."
        ) from error
    click.echo(f"{counted(len(found), 'run')} in '{out}'.")
