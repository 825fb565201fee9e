"""Shared by the commands: options, output formats, printing of tables, reading of records."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from auxbench.errors import UsageError, suggestion, visible
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
    click.option(
        "--workers",
        type=int,
        help="More threads per run, which prepare batches; default 0, or up to 4 on a GPU.",
    ),
)
TOLD = 5  # problems of a results folder that are printed; `results check` lists all
FORMATS = ("text", "json", "csv", "markdown", "latex")


def study_options(command: F) -> F:
    """Add the options that describe a study, the same for `run` and `plan`."""
    return added(
        command,
        click.option("--methods", required=True, help="Methods, such as single,auxnas+./mine.py."),
        click.option("--dataset", required=True, help="Data sets, such as rooms,./mydata.py."),
        click.option(
            "--backbone", help="Backbone: a timm name, mlp or ./mynet.py; default by data set."
        ),
        click.option("--primary", help="Primary task; default by data set."),
        click.option("--auxiliary", help="Auxiliary tasks, such as depth,normals."),
        click.option(
            "--seeds",
            default="3",
            show_default=True,
            help="Number of seeds, counted from 0, or a list: 5-9, or 0,3.",
        ),
        click.option(
            "--budget",
            default="small",
            show_default=True,
            help="Steps, batch and image side: demo, small, standard or paper.",
        ),
        click.option("--steps", type=int, help="Training steps (overrides --budget)."),
        click.option("--batch", type=int, help="Samples per batch (overrides --budget)."),
        click.option("--side", type=int, help="Image side in pixels (overrides --budget)."),
        click.option("--learning-rate", type=float, help="Learning rate of entries that set none."),
        click.option("--weight-decay", type=float, help="Weight decay of entries that set none."),
        click.option("--optimizer", help="adam, adamw or sgd, for entries that set none."),
        click.option("--schedule", help="constant, cosine or poly, for entries that set none."),
        click.option("--chunks", type=int, help="Compute Gramians in n parts, to save memory."),
        click.option("--precision", help="Arithmetic of training: fp32, bf16, fp16 or auto."),
        click.option(
            "--compile", "compiled", is_flag=True, default=None, help="Compile the network first."
        ),
        click.option(
            "--checkpointing",
            is_flag=True,
            default=None,
            help="Compute blocks again in backward passes, to save memory.",
        ),
        click.option("--head", default=HEAD, show_default=True, help="Head of dense tasks."),
        click.option("--pretrained", is_flag=True, help="Start from ImageNet weights."),
        click.option("--weights", help="Start from a .safetensors or .pth file."),
        results_option,
        *MACHINE,
        click.option("--retry", is_flag=True, help="Run diverged and skipped runs again."),
        click.option(
            "--keep-weights",
            is_flag=True,
            help="Keep the deployed networks, for deploy. Recorded runs without are run again.",
        ),
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
    """Add the options for the device, jobs, threads and workers."""
    return added(command, *MACHINE)


def limit_options(command: F) -> F:
    """Add the options that limit a run."""
    return added(
        command,
        click.option("--timeout", help="Time limit of a run, such as 90, 30m or 2h."),
        click.option("--stall", help="Time limit without a step, such as 10m."),
        click.option("--memory", help="Memory limit of a run, such as 4GB."),
    )


def executor_options(command: F) -> F:
    """Add the options that say where runs are carried out."""
    return added(
        command,
        click.option(
            "--executor",
            default="local",
            show_default=True,
            help="Where runs are carried out: local, ray or slurm.",
        ),
        click.option("--executor-options", help="YAML file with the executor's own options."),
        click.option("--address", help="Address of a running Ray cluster; by default its own."),
    )


def without_effect(options: Callable[[F], F]) -> Callable[[F], F]:
    """Options that a command accepts and ignores, so that it takes the words of another one."""

    def add(command: F) -> F:
        known = len(getattr(command, "__click_params__", []))
        command = options(command)
        for parameter in vars(command)["__click_params__"][known:]:
            parameter.hidden, parameter.expose_value = True, False
        return command

    return add


def filters(command: F) -> F:
    """Add the options that choose the records of a board or comparison."""
    return added(
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


def _add_parts(context: click.Context, option: click.Parameter, paths: str | None) -> None:
    """Register the parts in the named files for this command."""
    if paths:
        from auxbench.spec.files import add

        add(paths)


parts_option = click.option(
    "--parts",
    metavar="FILES",
    expose_value=False,
    callback=_add_parts,
    help="Files of parts of your own, such as ./mine.py,./mydata.py.",
)


def show(tables: Sequence[Table], style: str, explain: bool = False) -> None:
    """Print tables in a format."""
    from auxbench.report.tables import render

    click.echo(render(tables, style, explain), nl=False)


def tell(problems: Sequence[str]) -> None:
    """Print what is wrong with the files in a results folder, the first of many, on stderr."""
    for problem in problems[:TOLD]:
        click.echo(f"auxbench: {visible(problem)}", err=True)
    if (more := len(problems) - TOLD) > 0:
        click.echo(f"auxbench: {more} more; auxbench results check lists them all.", err=True)


def rows(results: str, **chosen: str | None) -> pandas.DataFrame:
    """The chosen runs of a results folder as a frame, labelled by the tunings in its ledger.

    Errors: `UsageError` for a folder without records and for a filter that no record passes.
    """
    from auxbench.records.ledger import Ledger
    from auxbench.records.looks import Looks
    from auxbench.records.store import Store
    from auxbench.report.advised import advised
    from auxbench.report.select import select
    from auxbench.stats.frame import labelled
    from auxbench.stats.index import indexed

    store = Store(Path(results))
    found = indexed(store)
    tell(store.problems)
    if found.empty:
        raise UsageError(f"no records in '{results}'; {_elsewhere(Path(results))}")
    known = labelled(select(found, **chosen), Ledger(results).tunings())
    return advised(known, Looks(results).latest())


predictions_option = click.option(
    "--keep-predictions",
    is_flag=False,
    flag_value=4,
    default=0,
    metavar="[N]",
    help="Keep the first N test samples with their predictions, 4 without a number.",
)
explain_option = click.option("--explain", is_flag=True, help="Say how the numbers are made.")


def _elsewhere(folder: Path) -> str:
    """Advice for a folder without records, which may hold folders that have some."""
    from auxbench.records.upkeep import PARTS

    below = sorted({file.parent for file in folder.glob("*/records.jsonl*")})
    below = [one for one in below if one.name not in PARTS]
    if below:
        return (
            f"name one of its folders, such as {below[0]}, or join some first: "
            f"auxbench results merge {folder}/ONE {folder}/TWO --into ALL."
        )
    return "make some with auxbench run, or name another."


def added(command: F, *options: Callable[[F], F]) -> F:
    """Add options to a command, in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def _default(key: str, value: Any, kind: Any) -> Any:
    """A value of a config file as the option takes it; errors: `UsageError` for other types."""
    is_flag = isinstance(kind, click.types.BoolParamType)
    plain = isinstance(value, str | int | float)
    plain |= isinstance(value, list) and all(isinstance(part, str | int | float) for part in value)
    if not plain or isinstance(value, bool) is not is_flag:
        wanted = "true or false" if is_flag else "a text, a number or a list of these"
        raise UsageError(f"{key} is {str(value)[:60]} in the config; write {wanted}.")
    parts = value if isinstance(value, list) else [value]
    if any("\0" in str(part) for part in parts):  # which no command line can hold
        raise UsageError(f"{key} holds a null character in the config; leave it out.")
    # The trailing comma keeps a list of one a list.
    return ",".join([*map(str, parts), ""]) if isinstance(value, list) else value


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
    except RecursionError:
        raise UsageError(f"config '{path}' is nested too deeply; write plain values.") from None
    known = {str(parameter.name): parameter for parameter in context.command.params}
    del known["config"]
    values = {}
    for key, value in words.items():
        name = key.replace("-", "_")
        if name not in known:
            names = [other.replace("_", "-") for other in known]
            raise UsageError(f"unknown option '{key}' in config '{path}'; {suggestion(key, names)}")
        values[name] = _default(key, value, known[name].type)
    context.default_map = values
