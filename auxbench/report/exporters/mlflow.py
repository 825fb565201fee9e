"""Runs for MLflow: one experiment per problem, in an SQLite file."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from auxbench.report.exporters.run import ExportedRun

MOST = 1000  # metrics that MLflow takes at once


def export(runs: Iterable[ExportedRun], out: Path) -> None:
    """Write every run into `out`/mlflow.db; `mlflow ui --backend-store-uri` opens it."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    client, folder = MlflowClient(f"sqlite:///{out.resolve()}/mlflow.db"), out.resolve().as_uri()
    for run in runs:
        known = client.get_experiment_by_name(run.problem)
        place = known.experiment_id if known else client.create_experiment(run.problem, folder)
        name = client.create_run(place, tags=dict(run.tags), run_name=run.name).info.run_id
        told = [Param(key, str(value)) for key, value in {"id": run.id, **run.parameters}.items()]
        client.log_batch(name, params=told)
        numbers = [
            Metric(re.sub(r"[^\w\-. :/]", "-", key), value, 0, step)
            for step, part in [*run.steps.items(), (run.last, run.results)]
            for key, value in part.items()
        ]
        for first in range(0, len(numbers), MOST):
            client.log_batch(name, metrics=numbers[first : first + MOST])
        client.set_terminated(name, "FINISHED" if run.done else "FAILED")
