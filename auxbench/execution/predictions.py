"""Predictions kept on demand: the first test samples, as the network of a run sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from auxbench.data.progress import counted
from auxbench.records.predictions import FILE, Predictions
from auxbench.spec.grammar import Choice

if TYPE_CHECKING:
    from auxbench.data.colours import Labels
    from auxbench.data.dataset import Batch, Task
    from auxbench.execution.study import Study
    from auxbench.records.store import Store
    from auxbench.training.loop import Training


def remarks(study: Study, store: Store, retry: bool) -> Iterator[str]:
    """Sentences about the runs of a study whose predictions cannot be kept."""
    from auxbench.data.dataset import make_dataset
    from auxbench.data.problem import Problem

    flat = set()
    for key in dict.fromkeys(
        (run.located, run.recipe.side, run.primary, run.auxiliaries) for run in study.runs
    ):
        located, side, primary, auxiliaries = key
        problem = Problem.of(make_dataset(located, side), primary, auxiliaries)
        if not any(task.dense for task in problem.tasks):
            flat.add(Choice.parse(located).name)
    for name in sorted(flat):
        yield f"no predictions are kept of '{name}', which has no task that predicts maps"
    without = [
        run
        for run in study.split(store, retry).done
        if Choice.parse(run.dataset).name not in flat
        and not (store.run_folder(run.id) / FILE).exists()
    ]
    if without:
        count = counted(len(without), "run")
        yield f"{count} recorded before without predictions; to keep them, name another --results"


def keep(training: Training, name: str, folder: Path, device: str, count: int) -> None:
    """Keep the predictions of a run's selected state on the first `count` test samples.

    That of the primary is the deployed network's. Those of the auxiliaries are the network's in
    training, since nothing else predicts them. Labels of whole samples are left out, and a run
    without a task that predicts maps keeps nothing. Errors: `OSError` if there is no room.
    """
    from auxbench.data.predicted import png, stride, strips
    from auxbench.data.preview import picture

    if not any(task.dense for task in training.learner.architecture.tasks):
        return
    samples = training.problem.dataset.samples("test")
    batch = samples.batch(np.arange(min(count, len(samples))), None)
    every = stride(*batch.inputs.shape[-2:])
    shown = [picture(one)[::every, ::every] for one in batch.inputs.numpy()]
    pictures = {"picture": np.concatenate(shown)}
    told = []
    for place, (task, network, outputs) in enumerate(_predicted(training, batch.to(device))):
        targets = batch.targets[task.name].numpy()[..., ::every, ::every]
        made = strips(task.kind, outputs[..., ::every, ::every], targets)
        told.append(
            {
                "name": task.name,
                "network": network,
                "captions": made.captions,
                "ranges": made.ranges,
                "scale": made.scale,
                "key": [(rgb and f"#{bytes(rgb).hex()}", text) for rgb, text in made.key],
            }
        )
        pictures |= {f"{place}-truth": made.truth, f"{place}-prediction": made.prediction}
        if made.difference is not None:
            pictures[f"{place}-difference"] = made.difference
    height, width = shown[0].shape[:2]
    about = {"id": name, "samples": len(batch), "height": height, "width": width, "tasks": told}
    Predictions(about, {key: png(value) for key, value in pictures.items()}).write(folder)


def _predicted(training: Training, batch: Batch) -> list[tuple[Task, str, Labels]]:
    """The tasks that predict maps, with the network that predicts each, and its outputs."""
    import torch

    from auxbench.training.evaluate import evaluating
    from auxbench.training.loop import deployed, in_training

    architecture = training.learner.architecture
    networks = {"training": in_training(architecture), "deployed": deployed(architecture)}
    found = {}
    with torch.no_grad(), evaluating([module for module, _, _ in networks.values()]):
        for network, (_, predict, tasks) in networks.items():
            outputs = predict(batch)
            for task in tasks:  # the deployed network's comes last, and stays
                if task.dense:
                    values = outputs[task.name].float().cpu().numpy()
                    found[task.name] = task, network, values
    return list(found.values())
