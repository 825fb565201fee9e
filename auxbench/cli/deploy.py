"""The command `deploy`: the network of a run in files that need no auxbench."""

from __future__ import annotations

from pathlib import Path

import click

from auxbench.cli.options import format_option, parts_option, results_option, show


@click.command()
@click.argument("run")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="New folder for the files."
)
@click.option("--dataset", help="The run's data set with the paths of its data: nyuv2:data=DIR.")
@parts_option
@results_option
@format_option
def deploy(run: str, out: Path, dataset: str | None, results: str, style: str) -> None:
    """Write the deployed network of RUN into files. They are checked on the test split."""
    from auxbench.records.store import Store
    from auxbench.spec.files import named
    from auxbench.spec.registry import DATASETS

    store = Store(Path(results))
    record = store.record(run)
    dataset = None if dataset is None else named(dataset, DATASETS)
    from auxbench.deployment.deploy import deploy as write
    from auxbench.deployment.table import table

    show([table(write(record, store, out, dataset))], style)
