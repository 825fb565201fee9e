"""Commands on the runs of a results folder: `status`, `retry` and `cancel`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from auxbench.cli.options import (
    executor_options,
    format_option,
    limit_options,
    machine_options,
    parts_option,
    predictions_option,
    results_option,
    show,
    tell,
)
from auxbench.errors import UsageError
from auxbench.spec.grammar import split_list

AGAIN = 2.0  # seconds between two looks
PATIENCE = 30.0  # seconds without a run after which following ends; the next one may be starting
STATUSES = ("error", "oom", "killed", "diverged", "skipped")


@click.command()
@results_option
@click.option(
    "--follow",
    is_flag=True,
    help="Look again and again, until no run has been under way for half a minute.",
)
@format_option
def status(results: str, follow: bool, style: str) -> None:
    """Show what is under way and what failed. Includes commands in other terminals."""
    from auxbench.records.store import Store
    from auxbench.report.status import ended, queued, running

    folder, latest, known = Path(results), time.monotonic(), None
    while True:
        now, jobs = running(folder), queued(folder)
        if jobs.rows or not all(row["dead"] for row in now.rows):
            latest = time.monotonic()
        files = [(file.name, file.stat().st_size) for file in sorted(folder.glob("records.jsonl*"))]
        if known != files:  # thousands of records take seconds to read
            known, store = files, Store(folder)
            records = store.runs()
        over = not follow or time.monotonic() - latest > PATIENCE
        if over:
            tell(store.problems)
        else:
            click.clear()  # which does nothing without a terminal
        show([now, *([jobs] if jobs.rows else []), ended(records)], style)
        if over:
            return
        time.sleep(AGAIN)


@click.command()
@results_option
@click.option(
    "--status",
    "statuses",
    default="error,oom,killed",
    show_default=True,
    help="Statuses of the runs to repeat.",
)
@machine_options
@limit_options
@executor_options
@predictions_option
@parts_option
def retry(results: str, statuses: str, **words: Any) -> None:
    """Carry out failed runs again, from their checkpoints. --parts names files that they need."""
    from auxbench.execution.executor import carry_out
    from auxbench.execution.resources import Resources
    from auxbench.execution.study import Study, with_files
    from auxbench.records.store import Store
    from auxbench.spec.run import Run

    wanted = split_list(statuses)
    for name in wanted:
        if name not in STATUSES:
            raise UsageError(f"status '{name}' cannot be retried; choose {', '.join(STATUSES)}.")
    resources = Resources.of(words)
    store = Store(Path(results))
    found = [with_files(Run.from_json(r["run"])) for r in store.runs() if r["status"] in wanted]
    if not found:
        raise UsageError(f"no run in '{results}' ended as {' or '.join(wanted)}.")
    carry_out(Study(tuple(found)), store, resources, retry=True)
    ids = {run.id for run in found}
    ends = [record["status"] for record in store.runs() if record["id"] in ids]
    counts = ", ".join(f"{ends.count(name)} {name}" for name in dict.fromkeys(ends))
    click.echo(f"{counts}; see auxbench status --results {results}")


@click.command()
@results_option
def cancel(results: str) -> None:
    """End the jobs of a results folder on a cluster. They save their runs first."""
    from auxbench.execution.jobs import cancel as end

    ended = end(Path(results))
    if not ended:
        raise UsageError(f"no job of '{results}' is in the queue; see auxbench status.")
    click.echo(f"ended {', '.join(ended)}; the command that submitted them continues from there.")
