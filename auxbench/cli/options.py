"""Shared by the commands: options, formats, tables on standard output, records from a folder."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from auxbench.errors import UsageError, suggestion
from auxbench.records.store import RESULTS
from auxbench.spec.networks import HEAD

if TYPE_CHECKING:
    import pandas

    from auxbench.report.tables import Table

F = TypeVar("F", bound=Callable[..., Any])

MACHINE = (
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1."),
    click.option("--jobs", type=int, help="Runs at a time; default one per core or GPU."),
    click.option("--threads", type=int, help="Threads per run; default its share of cores."),
)
FORMATS = ("text", "json", "csv", "markdown", "latex")


def study_options(command: F) -> F:
    """Add the options that describe a study, the same for `run` and `plan`."""
    return _added(
        command,
        click.option("--methods", required=True, help="Methods, such as single,auxnas+pcgrad."),
        click.option("--dataset", required=True, help="Data sets, such as rooms."),
        click.option("--backbone", help="Backbone: a timm name or mlp; default by data set."),
        click.option("--primary", help="Primary task; default by data set."),
        click.option("--auxiliary", help="Auxiliary tasks, such as depth,normals."),
        click.option(
            "--seeds",
            default="3",
            show_default=True,
            help="Number of seeds, from 0 on, or which: 5-9, or 0,3.",
        ),
        click.option("--budget", default="small", show_default=True, help="Budget tier."),
        click.option("--steps", type=int, help="Training steps (overrides --budget)."),
        click.option("--batch", type=int, help="Samples per batch (overrides --budget)."),
        click.option("--side", type=int, help="Image side in pixels (overrides --budget)."),
        click.option("--learning-rate", type=float, help="Learning rate of entries that set none."),
        click.option("--weight-decay", type=float, help="Weight decay of entries that set none."),
        click.option("--optimizer", help="adam, adamw or sgd, for entries that set none."),
        click.option("--schedule", help="constant, cosine or poly, for entries that set none."),
        click.option("--chunks", type=int, help="Compute Gramians in n parts, to save memory."),
        click.option("--head", default=HEAD, show_default=True, help="Head of dense tasks."),
        click.option("--pretrained", is_flag=True, help="Start from ImageNet weights."),
        click.option("--weights", help="Start from a .safetensors or .pth file."),
        results_option,
        *MACHINE,
        click.option("--retry", is_flag=True, help="Run diverged and skipped runs again."),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            is_eager=True,
            expose_value=False,
            callback=_read_config,
            help="TOML file with the same options; command-line options take precedence.",
        ),
    )


def machine_options(command: F) -> F:
    """Add the options that say what runs may use."""
    return _added(command, *MACHINE)


def limit_options(command: F) -> F:
    """Add the options that limit a run."""
    return _added(
        command,
        click.option("--timeout", help="End runs that take longer, such as 90, 30m or 2h."),
        click.option("--stall", help="End runs that take no step for so long."),
        click.option("--memory", help="End runs that take more memory, such as 4GB."),
    )


def filters(command: F) -> F:
    """Add the options that choose the records of a board or comparison."""
    return _added(
        command,
        results_option,
        click.option("--dataset", help="Only this data set."),
        click.option("--primary", help="Only this primary task."),
        click.option("--backbone", help="Only this backbone."),
        click.option("--budget", help="Only this budget."),
    )


results_option = click.option(
    "--results", default=RESULTS, show_default=True, help="Folder of records."
)
format_option = click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Output format.",
)


def show(tables: Sequence[Table], style: str) -> None:
    """Print tables in a format."""
    from auxbench.report.tables import render

    click.echo(render(tables, style), nl=False)


def records(results: str) -> list[dict[str, Any]]:
    """The records of a folder; lines that are none are reported on standard error.

    Errors: `UsageError` for a folder without records.
    """
    from auxbench.records.store import Store

    store = Store(Path(results))
    found = store.runs()
    for problem in store.problems:
        click.echo(f"auxbench: {problem}", err=True)
    if not found:
        raise UsageError(
            f"no records in '{results}'; make some with auxbench run, or name another."
        )
    return found


def rows(results: str, **chosen: str | None) -> pandas.DataFrame:
    """The chosen runs of a results folder as a frame, with what its ledger says of their entries.

    Errors: `UsageError` for a folder without records and a filter which nothing passes.
    """
    from auxbench.records.ledger import Ledger
    from auxbench.report.select import select
    from auxbench.stats import frame

    return frame(select(records(results), **chosen), Ledger(results).tunings())


def _added(command: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def _read_config(context: click.Context, option: click.Parameter, path: Path | None) -> None:
    """Make the file's values the defaults of this command: typed options take precedence."""
    if path is None:
        return
    try:
        words = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror
        raise UsageError(f"config '{path}' cannot be read ({reason}); name another.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config '{path}' is not TOML ({error}); fix that line.") from None
    known = {str(parameter.name) for parameter in context.command.params} - {"config"}
    values = {}
    for key, value in words.items():
        name = key.replace("-", "_")
        if name not in known:
            names = [other.replace("_", "-") for other in known]
            raise UsageError(f"unknown option '{key}' in config '{path}'; {suggestion(key, names)}")
        # A list of one ends in a comma, so that it stays a list.
        values[name] = ",".join([*map(str, value), ""]) if isinstance(value, list) else value
    context.default_map = values
