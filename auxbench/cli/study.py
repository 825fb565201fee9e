"""Commands that train: `run`, `tune`, and `plan`, which says what a run would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from auxbench.cli.options import format_option, show, study_options


@click.command()
@study_options
def run(methods: str, dataset: str, **words: Any) -> None:
    """Train methods on data sets; runs that are recorded already are skipped."""
    from auxbench import run as carry_out

    frame = carry_out(methods, dataset, **words)
    ends = frame["status"].value_counts().to_dict()
    counts = ", ".join(f"{count} {status}" for status, count in ends.items())
    click.echo(f"{counts}; see auxbench leaderboard --results {words['results']}")


@click.command()
@study_options
@click.option("--trials", default=8, show_default=True, help="Trials per method and problem.")
@click.option("--tuning-seeds", default=2, show_default=True, help="Seeds per trial.")
@click.option("--halving", is_flag=True, help="Drop the worse half of the trials after each seed.")
@format_option
def tune(methods: str, dataset: str, style: str, **words: Any) -> None:
    """Tune every method by the same number of trials, then train the best with fresh seeds."""
    from auxbench import tune as carry_out
    from auxbench.records.ledger import Ledger
    from auxbench.report.tuning import table

    carry_out(methods, dataset, **words)
    show([table(Ledger(words["results"]).tunings())], style)


@click.command()
@study_options
@format_option
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
    """Show what a run would do: what is done, what is impossible, what it would cost."""
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
    show([table(cells, at_once)], style)
