"""The command line: words in, tables out; what they mean is decided elsewhere."""

from __future__ import annotations

import io
import signal
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from auxbench import __version__
from auxbench.cli.data import data
from auxbench.errors import AuxbenchError, UsageError, suggestion
from auxbench.records.store import RESULTS
from auxbench.spec.networks import HEAD

if TYPE_CHECKING:
    from auxbench.report.tables import Table

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("text", "json", "csv", "markdown", "latex")
KINDS = ("methods", "datasets", "backbones", "heads", "budgets")


def main() -> None:
    """Run the command line; a mistake is explained in one line and ends with exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop runs as Ctrl-C does
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow must not break a pipe that lacks it
    try:
        code = auxbench(standalone_mode=False)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        code = _complain(error.format_message())
    except click.Abort:
        code = _complain("stopped; the same command goes on from here.", 130)
    except UsageError as error:
        code = _complain(str(error))
    except AuxbenchError as error:
        code = _complain(str(error), 1)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int = 2) -> int:
    click.echo(f"auxbench: {' '.join(message.split())}", err=True)
    return code


def _read_config(context: click.Context, option: click.Parameter, path: Path | None) -> None:
    """Make the file's values the defaults of this command: what is typed wins."""
    if path is None:
        return
    try:
        words = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror
        raise UsageError(f"config '{path}' cannot be read ({reason}); give another.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config '{path}' is not TOML ({error}); mend that line.") from None
    known = {str(parameter.name) for parameter in context.command.params} - {"config"}
    values = {}
    for key, value in words.items():
        name = key.replace("-", "_")
        if name not in known:
            names = [other.replace("_", "-") for other in known]
            raise UsageError(
                f"config '{path}' has an unknown word '{key}'; {suggestion(key, names)}"
            )
        # A list of one ends in a comma, so that it stays a list.
        values[name] = ",".join([*map(str, value), ""]) if isinstance(value, list) else value
    context.default_map = values


def _study_options(command: F) -> F:
    """The words that describe a study, the same for `run` and `plan`."""
    options = [
        click.option("--methods", required=True, help="Methods, such as single,auxnas+pcgrad."),
        click.option("--dataset", required=True, help="Data sets, such as rooms."),
        click.option("--backbone", help="timm names, or mlp; the data set's own by default."),
        click.option("--primary", help="The task that counts; the data set's own by default."),
        click.option("--auxiliary", help="Auxiliary tasks, such as depth,normals."),
        click.option(
            "--seeds", default="3", show_default=True, help="A number, from 0 on, or 5-9, or 0,3."
        ),
        click.option("--budget", default="small", show_default=True, help="A budget tier."),
        click.option("--steps", type=int, help="Weight steps, in place of the budget's."),
        click.option("--batch", type=int, help="Samples a batch, in place of the budget's."),
        click.option("--side", type=int, help="Image side in pixels, in place of the budget's."),
        click.option("--learning-rate", type=float, help="In place of the budget's."),
        click.option("--weight-decay", type=float, help="In place of the budget's."),
        click.option("--optimizer", help="adam, adamw or sgd, in place of the budget's."),
        click.option("--schedule", help="constant, cosine or poly, in place of the budget's."),
        click.option("--chunks", type=int, help="Compute Gramians in parts, to save memory."),
        click.option("--head", default=HEAD, show_default=True, help="Of tasks that predict maps."),
        click.option("--pretrained", is_flag=True, help="Start backbones from ImageNet weights."),
        click.option("--weights", help="Start backbones from this .safetensors or .pth file."),
        click.option("--results", default=RESULTS, show_default=True, help="Folder of records."),
        click.option(
            "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1."
        ),
        click.option("--jobs", type=int, help="Runs at a time; all cores, or one on a GPU."),
        click.option(
            "--threads", type=int, help="Processor cores per run; their share by default."
        ),
        click.option("--retry", is_flag=True, help="Run diverged and skipped ones again."),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            is_eager=True,
            expose_value=False,
            callback=_read_config,
            help="A TOML file with the same words; what is typed wins.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _format_option(command: F) -> F:
    choice = click.Choice(FORMATS)
    return click.option(
        "--format", "style", type=choice, default="text", show_default=True, help="How to print."
    )(command)


def _filters(command: F) -> F:
    """Which records a board or comparison is made of."""
    options = [
        click.option("--results", default=RESULTS, show_default=True, help="Folder of records."),
        click.option("--dataset", help="Only this data set."),
        click.option("--primary", help="Only this primary task."),
        click.option("--backbone", help="Only this backbone."),
        click.option("--budget", help="Only this budget."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _show(tables: list[Table], style: str) -> None:
    from auxbench.report.tables import render

    click.echo(render(tables, style), nl=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="auxbench")
def auxbench() -> None:
    """Which auxiliary-learning methods really help, and at what cost."""


auxbench.add_command(data)


@auxbench.command()
@_study_options
def run(methods: str, dataset: str, **words: Any) -> None:
    """Train methods on data sets; what is recorded already is skipped."""
    from auxbench import run as carry_out

    frame = carry_out(methods, dataset, **words)
    ends = frame["status"].value_counts().to_dict()
    counts = ", ".join(f"{count} {status}" for status, count in ends.items())
    click.echo(f"{counts}; auxbench leaderboard --results {words['results']} shows them.")


@auxbench.command()
@_study_options
@_format_option
def plan(
    methods: str,
    dataset: str,
    style: str,
    results: str,
    device: str,
    jobs: int | None,
    threads: int | None,
    retry: bool,
    **words: Any,
) -> None:
    """Say what a run would do, what is done, what is impossible, and what it would cost."""
    from auxbench.execution.local import resolve, slots, threads_of
    from auxbench.execution.plan import plan as make_plan
    from auxbench.execution.study import Study
    from auxbench.records.store import Store
    from auxbench.report.plan import table

    study = Study.of(methods, dataset, **words)
    device = resolve(device)
    at_once = slots(device, jobs)
    store = Store(Path(results))
    cells = make_plan(study, store, device, threads_of(threads, at_once), retry)
    _show([table(cells, at_once)], style)


@auxbench.command(name="list")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--cite", metavar="METHODS", help="BibTeX of methods such as sum,auxnas+pcgrad; all.")
@_format_option
def list_(kind: str, cite: str | None, style: str) -> None:
    """List the registered methods, data sets, backbones, heads or budgets."""
    from auxbench.report import lists as catalogue
    from auxbench.report.cite import bibliography

    if cite is None:
        _show([catalogue.TABLES[kind]()], style)
        if kind == "methods":
            _tell_what_is_passed_over()
    elif kind != "methods":
        raise UsageError(f"cite '{cite}' does not go with {kind}; write list methods --cite.")
    else:
        click.echo(bibliography(cite), nl=False)


@auxbench.command()
@click.argument("words", nargs=-1, required=True, metavar="RUN | method NAME | dataset NAME")
@click.option("--results", default=RESULTS, show_default=True, help="Folder of records.")
@_format_option
def show(words: tuple[str, ...], results: str, style: str) -> None:
    """Show all of a RUN, given by the first digits of its id, or of a method or data set."""
    import json

    from auxbench.records.store import Store
    from auxbench.report import dataset, method, run

    parts = {"method": method.tables, "dataset": dataset.tables}
    kind, *names = words
    if kind in parts or names:
        if kind not in parts:
            raise UsageError(f"nothing of kind '{kind}' can be shown; {suggestion(kind, parts)}")
        if len(names) != 1:
            raise UsageError(f"show {kind} is followed by {len(names)} names; give one.")
        _show(parts[kind](names[0]), style)
        return
    record = Store(Path(results)).record(kind)
    if style == "json":
        click.echo(json.dumps(record, indent=2))
    else:
        _show(run.tables(record), style)


@auxbench.command()
@_filters
@_format_option
def leaderboard(results: str, style: str, **filters: str | None) -> None:
    """Rank the methods of every problem by their primary score."""
    from auxbench.report.board import boards
    from auxbench.report.select import select

    _show(boards(select(_records(results), **filters)), style)


@auxbench.command()
@click.argument("methods", nargs=-1)
@click.option("--control", help="Compare all methods, or the named ones, with this one.")
@click.option("--matrix", is_flag=True, help="A row per method and a column per problem.")
@_filters
@_format_option
def compare(
    methods: tuple[str, ...],
    control: str | None,
    matrix: bool,
    results: str,
    style: str,
    **filters: str | None,
) -> None:
    """Compare METHODS by their paired seeds, and say what can be concluded."""
    from auxbench.report.comparison import compare as make_comparison
    from auxbench.report.matrix import matrix as make_matrix
    from auxbench.report.select import select

    comparison = make_comparison(select(_records(results), **filters), methods, control)
    _show([make_matrix(comparison) if matrix else comparison.table()], style)
    if style == "text" and not matrix:
        for sentence in comparison.sentences():
            click.echo(sentence)


@auxbench.command()
@click.argument("method")
@_format_option
@click.pass_context
def check(context: click.Context, method: str, style: str) -> None:
    """Put a METHOD through the whole contract; a path such as ./mine.py names its file."""
    import torch

    from auxbench.contract.check import Subject, attempt, table
    from auxbench.data.progress import bar

    torch.set_num_threads(1)  # the networks are tiny, and threads would wait for each other
    subject = Subject.find(method)
    _tell_what_is_passed_over(subject.names)
    results = []
    with bar(f"checking {subject.method}", len(planned := subject.checks()), unit="checks") as done:
        for part, one in planned:
            results.append(attempt(part, one))
            done(1)
    _show([table(subject, results)], style)
    context.exit(1 if any(result.ok is False for result in results) else 0)


@auxbench.command()
@click.argument("what", type=click.Choice(["method"]))
@click.argument("name")
@click.option("--kind", type=click.Choice(["balancer", "architecture"]), default="balancer")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to; methods/ or here.")
@click.option("--source", help='Such as: A. Author, "Title", ICML 2026, https://arxiv.org/abs/...')
def new(what: str, name: str, kind: str, folder: Path | None, source: str | None) -> None:
    """Write the file of a new method NAME, which keeps the contract and does something simple."""
    from auxbench.contract.template import write

    for line in write(name, kind, folder, source):
        click.echo(line)


def _tell_what_is_passed_over(names: Sequence[str] | None = None) -> None:
    """Say which packages bring methods in vain, of these names or of any."""
    from auxbench.spec.registry import METHODS

    for name, sentence in METHODS.passed_over.items():
        if names is None or name in names:
            click.echo(f"auxbench: {sentence}", err=True)


def _records(results: str) -> list[dict[str, Any]]:
    from auxbench.records.store import Store

    store = Store(Path(results))
    records = store.records()
    for problem in store.problems:
        click.echo(f"auxbench: {problem}", err=True)
    if not records:
        raise UsageError(f"no record is in '{results}'; auxbench run makes some, or name another.")
    return records
