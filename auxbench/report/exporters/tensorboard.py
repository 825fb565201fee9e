"""Runs for TensorBoard: an event file each, with its scalars and its hyperparameters."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from auxbench.report.exporters.run import ExportedRun


def export(runs: Iterable[ExportedRun], out: Path) -> None:
    """Write every run into a folder of its own below `out`; tags are hyperparameters too."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.summary.writer.record_writer import RecordWriter

    for run in runs:
        told = [(0, hparams_pb({**run.parameters, **run.tags}, trial_id=run.id))]
        for step, numbers in [*run.steps.items(), (run.last, run.results)]:
            values = [Summary.Value(tag=key, simple_value=value) for key, value in numbers.items()]
            told.append((step, Summary(value=values)))
        (out / run.path).mkdir(parents=True)
        # Its own writer of files puts the name of the machine into theirs.
        with (out / run.path / "events.out.tfevents.auxbench").open("wb") as file:
            writer = RecordWriter(file)
            for step, summary in told:
                event = Event(wall_time=time.time(), step=step, summary=summary)
                writer.write(event.SerializeToString())
