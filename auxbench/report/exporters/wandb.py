"""Runs for Weights & Biases: offline ones, which `wandb sync` sends when the user says so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from auxbench.report.exporters.run import ExportedRun


def export(runs: Iterable[ExportedRun], out: Path) -> None:
    """Write every run into `out`/wandb, in the project 'auxbench', grouped by its problem."""
    import wandb

    quiet = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        x_disable_meta=True,
        x_disable_stats=True,
        host="-",
    )
    for run in runs:
        one = wandb.init(
            mode="offline",
            dir=out,
            project="auxbench",
            id=run.id,
            name=run.name,
            group=run.problem[:128],
            config={**run.parameters, **run.tags},
            settings=quiet,
        )
        for step, numbers in run.steps.items():
            one.log(dict(numbers), step=step)
        one.summary.update(dict(run.results))
        one.finish(exit_code=0 if run.done else 1)
