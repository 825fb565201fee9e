"""Commands that train, `run` and `tune`, and `plan`, which says what a run would do."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auxbench.cli.options import (
    executor_options,
    format_option,
    limit_options,
    predictions_option,
    show,
    study_options,
    without_effect,
)
from auxbench.cli.tuning import TUNING, planned_tuning_options, tuning_options
from auxbench.data.imports import uncollected
from auxbench.errors import UsageError
from auxbench.execution.executor import launched
from auxbench.execution.process import drop_early, start_early
from auxbench.spec.study import check

if TYPE_CHECKING:
    import pandas

declare_option = click.option(
    "--declare",
    help="Comparisons that reports call confirmatory, such as auxnas/single,pcgrad/hps.",
)


@click.command()
@study_options
@limit_options
@executor_options
@predictions_option
@click.option("--shard", help="One of n parts of the study, such as 1/4, for schedulers.")
@declare_option
@click.option(
    "--until",
    type=click.Choice(["decided"]),
    help="Add seeds until every method is decided against --control (overrides --seeds).",
)
@click.option("--max-seeds", default=20, show_default=True, help="Most seeds of --until.")
@click.option("--control", default="single", show_default=True, help="Control of --until.")
def run(
    methods: str,
    dataset: str,
    declare: str | None,
    until: str | None,
    max_seeds: int,
    control: str,
    **words: Any,
) -> None:
    """Train methods on data sets. Runs that are recorded already are skipped."""
    check(words)
    if words["executor"] == "local" and not launched():
        start_early(words["device"], words["jobs"], words["threads"], words["backbone"] or "")
        click.get_current_context().call_on_close(drop_early)
    from auxbench import run as carry_out

    _declare(declare, words["results"])
    with uncollected():
        import_module("auxbench.execution.study")  # and torch

    if until:
        from auxbench.cli.until import run_until_decided

        results = words.pop("results")
        if words.pop("shard"):
            raise UsageError("--until decides on whole studies; leave --shard out.")
        del words["seeds"]
        run_until_decided(methods, dataset, results, control, max_seeds, **words)
        click.echo(f"see auxbench compare --control {control} --results {results}")
        return
    frame = carry_out(methods, dataset, **words)
    _show_boards(frame)
    ends = frame["status"].value_counts().to_dict()
    counts = ", ".join(f"{count} {status}" for status, count in ends.items())
    click.echo(f"{counts}; see auxbench leaderboard --results {words['results']}")


@click.command()
@study_options
@limit_options
@executor_options
@declare_option
@tuning_options
@format_option
def tune(methods: str, dataset: str, declare: str | None, style: str, **words: Any) -> None:
    """Tune all methods equally, then train them. Every method has the same number of trials."""
    check(words)
    from auxbench import tune as carry_out
    from auxbench.records.ledger import Ledger
    from auxbench.report.tuning import table

    _declare(declare, words["results"])
    carry_out(methods, dataset, **words)
    show([table(Ledger(words["results"]).tunings())], style)


@click.command()
@study_options
@planned_tuning_options
@without_effect(limit_options)
@without_effect(executor_options)
@without_effect(declare_option)
@format_option
def plan(
    methods: str,
    dataset: str,
    style: str,
    results: str,
    device: str,
    jobs: int | None,
    threads: int | None,
    workers: int | None,
    retry: bool,
    keep_weights: bool,
    **words: Any,
) -> None:
    """Show what a run would do and cost. Says what is done and what is impossible."""
    check(words)
    tuning = {key: words.pop(key) for key in TUNING}
    tuning = {key: value for key, value in tuning.items() if value is not None}
    from auxbench.execution.fastest import resolved
    from auxbench.execution.plan import plan as make_plan
    from auxbench.execution.resources import Resources, resolve, slots, threads_of
    from auxbench.execution.study import Study
    from auxbench.records.store import Store
    from auxbench.report.plan import table

    store = Store(Path(results))
    words = resolved(methods, dataset, words, Resources(device, jobs, threads), store)
    study = Study.of(methods, dataset, **words)
    device = resolve(device)
    at_once = slots(device, jobs)
    number = threads_of(threads, at_once)
    cells = make_plan(study, store, device, number, retry, keep_weights, tuning or None)
    show([table(cells, at_once)], style)


def _show_boards(frame: pandas.DataFrame) -> None:
    """Print the boards of these runs, without what can be read in `leaderboard`."""
    from dataclasses import replace

    from auxbench.report.board import boards

    show([replace(board, notes=(), explanation=()) for board in boards(frame)], "text")


def _declare(text: str | None, results: str) -> None:
    """Record the declared comparisons before anything runs."""
    if text:
        from auxbench.records.declared import Declared
        from auxbench.records.store import Store

        Declared(results).append(text, len(Store(results).runs()))
