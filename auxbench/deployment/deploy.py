"""Deployment: the network of a run rebuilt, given its weights, exported, checked and written."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from auxbench.data.dataset import Batch, Samples, make_dataset
from auxbench.data.problem import Problem
from auxbench.data.progress import bar
from auxbench.deployment import formats
from auxbench.deployment.manifest import files, manifest
from auxbench.deployment.readme import readme
from auxbench.errors import AuxbenchError, UsageError, reason
from auxbench.execution import weights
from auxbench.execution.execute import builder_of
from auxbench.execution.preparation import prepare
from auxbench.execution.study import with_files
from auxbench.networks.builder import placed
from auxbench.networks.exported import evaluation, exported_for_any_batch
from auxbench.records.store import Store
from auxbench.report.run import command
from auxbench.spec.grammar import Choice
from auxbench.spec.method import Method
from auxbench.spec.registry import DATASETS, METHODS
from auxbench.spec.run import Run
from auxbench.training.architecture import Architecture
from auxbench.training.evaluate import evaluate

__all__ = ["Deployed", "deploy"]

SCORE = 1e-3
"""The largest relative difference of a test score from the recorded one.

It allows for other kernels: on another processor a few pixels change their class.
"""
PREDICTION = 1e-3
"""The largest difference of a file's prediction from the network's, as a share of the largest."""
MANIFEST, README = "manifest.json", "README.md"


@dataclass(frozen=True)
class Deployed:
    """The outcome of a deployment: its folder, its manifest, and notes on files left out."""

    folder: Path
    manifest: Mapping[str, Any]
    notes: tuple[str, ...]


def deploy(
    record: Mapping[str, Any], store: Store, out: Path, dataset: str | None = None
) -> Deployed:
    """Write the deployed network of a recorded run into a new folder `out`.

    The network predicts the test split from every file that was written, and has to reach the
    recorded score. `dataset` names the run's data set together with the location of its data.
    Errors: `UsageError` for a run without a network or without weights, for a folder that is not
    empty, for missing data, and for weights that do not give the recorded score; `AuxbenchError`
    for a network that cannot be exported, and for a file that predicts something else.
    """
    _refuse(record, store, out)
    run = _located(with_files(Run.from_json(record["run"])), dataset)
    prepare([run])
    problem = Problem.of(
        make_dataset(run.located, run.recipe.side, run.draw), run.primary, run.auxiliaries
    )
    problem.dataset.narrow(problem.tasks)
    network = rebuilt(run, problem)
    weights.load(store.run_folder(run.id), network, run.id)
    samples = problem.dataset.samples("test")
    whole = out.resolve()  # '.' has no name, and a part before '..' need not be there
    draft = whole.with_name(f".{whole.name}.{os.getpid()}.tmp")
    try:
        draft.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"out '{out}' cannot be written ({reason(error)}); name another folder."
        ) from None
    try:
        made, notes = _write(draft, record, problem, network, samples, run)
        if whole.exists():  # and is empty
            for file in draft.iterdir():
                os.replace(file, whole / file.name)
        else:
            os.replace(draft, whole)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Deployed(out, made, tuple(notes))


def rebuilt(run: Run, problem: Problem) -> nn.Module:
    """The network that a run deploys, with its initial weights."""
    choice = Method.parse(run.method).architecture
    maker = METHODS[choice.name]
    architecture = maker(builder_of(run, problem), **choice.values(maker))
    assert isinstance(architecture, Architecture)
    return placed(architecture, "cpu").deploy()


@dataclass
class _Check:
    """The predictions of a file beside the network's: the largest difference, and the largest."""

    predict: formats.Predict
    difference: float = 0.0
    largest: float = 0.0
    score: float | None = field(default=None)

    def compared(self, inputs: Tensor, expected: Tensor) -> Tensor:
        """The predictions of the file for a batch."""
        found = self.predict(inputs)
        same = torch.where(found == expected, 0, found - expected).abs().max()  # also infinities
        self.difference = max(self.difference, float(same.nan_to_num(math.inf)))
        self.largest = max(self.largest, float(expected.abs().max()))
        return found

    @property
    def same(self) -> bool:
        """True if the file predicts what the network predicts."""
        return self.difference <= PREDICTION * max(self.largest, 1e-6)


def _refuse(record: Mapping[str, Any], store: Store, out: Path) -> None:
    """Refuse what cannot be deployed, before anything is built; errors: `UsageError`."""
    if "run" not in record:
        raise UsageError(f"record '{record['id']}' is not of a run; name another.")
    name = record["id"]
    if record["status"] != "done":
        raise UsageError(
            f"run '{name}' has no trained network: it ended as {record['status']}; name another."
        )
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"out '{out}' is not empty; name a new folder.")
    if out.exists() and not out.is_dir():
        raise UsageError(f"out '{out}' is a file; name a new folder.")
    if not weights.are_kept(store.run_folder(name)):
        raise UsageError(
            f"run '{name}' kept no weights; train it again with: {again(record, store)}"
        )


def again(record: Mapping[str, Any], store: Store) -> str:
    """The command that repeats a run and keeps its weights."""
    text = command(record)
    if not text.startswith("auxbench run"):
        return text
    return f"{text} --keep-weights --results {shlex.quote(str(store.folder))}"


def _located(run: Run, dataset: str | None) -> Run:
    """The run with the location of its data; errors: `UsageError` for another data set."""
    if dataset is None:
        return run
    choice = Choice.parse(dataset)
    maker = DATASETS[choice.name]
    canonical = str(choice.canonical(maker))
    if canonical != run.dataset:
        raise UsageError(
            f"dataset '{dataset}' is not that of the run, '{run.dataset}'; add only the paths of "
            "its data."
        )
    return replace(run, where="".join(f":{k}={v}" for k, v in choice.places(maker).items()))


def _write(
    draft: Path,
    record: Mapping[str, Any],
    problem: Problem,
    network: nn.Module,
    samples: Samples,
    run: Run,
) -> tuple[dict[str, Any], list[str]]:
    """Write all files into the folder `draft`; return the manifest and notes."""
    example = samples.batch(np.arange(1), None).inputs.contiguous()
    # torch.export may bake strides into the graph, and what others pass in is contiguous
    plain = deepcopy(network).to(memory_format=torch.contiguous_format)
    try:
        program, any_batch = exported_for_any_batch(plain, example)
    except AuxbenchError as error:
        raise AuxbenchError(f"run '{run.id}' cannot be deployed: {error}.") from None
    weights.write(draft / weights.FILE, network.state_dict(), run.id)
    checks = {formats.PROGRAM: _Check(formats.program(program, draft / formats.PROGRAM, any_batch))}
    notes = []
    if lacking := formats.onnx_missing():
        notes.append(
            f"{formats.ONNX} was not written, since {lacking} is not installed; "
            "pip install 'auxbench[onnx]'."
        )
    else:
        try:
            predict = formats.onnx(program, draft / formats.ONNX, any_batch)
            checks[formats.ONNX] = _Check(predict)
        except AuxbenchError as error:
            notes.append(f"{formats.ONNX} was not written, since the network has no ONNX: {error}.")
    test = _tested(record, problem, network, samples, checks, run)
    with evaluation(network):
        prediction = network(example)
    found = manifest(
        record, problem.dataset, problem.primary, (example, prediction), any_batch, test
    )
    (draft / README).write_text(readme(found, formats.ONNX in checks), encoding="utf-8")
    found["files"] = files(draft)
    (draft / MANIFEST).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found, notes


def _tested(
    record: Mapping[str, Any],
    problem: Problem,
    network: nn.Module,
    samples: Samples,
    checks: Mapping[str, _Check],
    run: Run,
) -> dict[str, Any]:
    """The test scores of the network and of every file, and how far their predictions differ.

    Errors: `UsageError` if the network does not reach the recorded score, `AuxbenchError` if a file
    predicts something else than the network.
    """
    task, recorded = problem.primary, record["primary"]
    latest: dict[str, Tensor] = {}
    with bar("checking on the test split", len(samples)) as advance:

        def own(batch: Batch) -> Mapping[str, Tensor]:
            latest["prediction"] = network(batch.inputs)
            advance(len(batch))
            return {task.name: latest["prediction"]}

        def of(check: _Check) -> Callable[[Batch], Mapping[str, Tensor]]:
            return lambda batch: {task.name: check.compared(batch.inputs, latest["prediction"])}

        networks = {
            weights.FILE: (network, own, (task,)),
            **{name: (nn.Identity(), of(check), (task,)) for name, check in checks.items()},
        }
        scores = evaluate(networks, samples, "test", run.recipe.batch)
    headline = {
        name: next(s.value for s in scores if s.network == name and s.metric == recorded["metric"])
        for name in networks
    }
    if not _alike(headline[weights.FILE], recorded["value"]):
        raise UsageError(
            f"run '{run.id}' scores {headline[weights.FILE]} with its kept weights, and "
            f"{recorded['value']} in its record: its code, data or weights have changed; train it "
            "again."
        )
    for name, check in checks.items():
        if not (check.same and _alike(headline[name], headline[weights.FILE])):
            raise AuxbenchError(
                f"{name} of run '{run.id}' predicts something else than the network: they differ "
                f"by up to {check.difference:.2g} where predictions reach {check.largest:.2g}."
            )
    return {
        "metric": recorded["metric"],
        "unit": recorded["unit"],
        "direction": recorded["direction"],
        "recorded": recorded["value"],
        "samples": len(samples),
        "scored": headline,
        "largest_difference": {name: check.difference for name, check in checks.items()},
        "largest_prediction": max(check.largest for check in checks.values()),
        "tolerance": {"score": SCORE, "prediction": PREDICTION},
    }


def _alike(value: float | None, other: float | None) -> bool:
    if value is None or other is None:
        return value is other
    return math.isclose(value, other, rel_tol=SCORE, abs_tol=1e-6)
