"""auxbench: which auxiliary-learning methods really help, and at what cost.

Train a matrix of methods, and read what was recorded:

    run               Carry out a study and return a DataFrame with one row per run.
    tune              Tune every method by the same number of trials first, then train.
    load              Read recorded runs, and every number of every validation.
    UsageError        The error of a request that cannot be carried out, in one sentence.

Use any rule, or Aux-NAS, in a training loop of your own:

    Balance           Turn the losses of a step into one gradient, by any chain of rules.
    branches          Link networks of your own as Aux-NAS does, and get the primary one back.

Write a method:

    METHODS           The registry of methods: `@METHODS.register` above a class adds one.
    Balancer          The base of rules that weigh the tasks' losses.
    GradientBalancer  The base of rules that combine the tasks' gradients.
    Signals           The numbers that a rule reads of a batch: losses, Gramian, norms and others.
    Architecture      The base of networks for all tasks, of which one is deployed.
    Builder           The maker of backbones and heads that start alike under every method.
    Network           The single-task network, from inputs to a prediction.
    Phase             A part of a training step besides the descent, such as a search.
    Context           The object that the phases of a run share.

Use data of your own:

    ArrayDataset      A data set of arrays in memory.
    from_torch        A data set of torch or torchvision, by the kinds of its columns.
    from_huggingface  A data set of Hugging Face's `datasets`, likewise.
    Classes           A class at every pixel.
    Label             A class of the whole sample.
    Depth             A depth at every pixel.
    Normals           A surface normal at every pixel.
    Map               Numbers at every pixel.
    Number            Numbers of the whole sample.

Write a data set or a backbone:

    DATASETS          The registry of data sets.
    Dataset           The base of data sets: tasks, and samples for three splits.
    Samples           One split of a data set, read by index.
    Batch             Inputs, and one target per task.
    BACKBONES         The registry of backbones besides timm's.

All of these are imported from here, each when it is first asked for: `import auxbench` imports none
of them. Everything else is reached through the rooms of the package, each of which says in its
docstring what it is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    import pandas

    from auxbench.data.dataset import Batch as Batch
    from auxbench.data.dataset import Dataset as Dataset
    from auxbench.data.dataset import Samples as Samples
    from auxbench.data.kinds import Classes as Classes
    from auxbench.data.kinds import Depth as Depth
    from auxbench.data.kinds import Label as Label
    from auxbench.data.kinds import Map as Map
    from auxbench.data.kinds import Normals as Normals
    from auxbench.data.kinds import Number as Number
    from auxbench.data.own.adapters import from_huggingface as from_huggingface
    from auxbench.data.own.adapters import from_torch as from_torch
    from auxbench.data.own.array_dataset import ArrayDataset as ArrayDataset
    from auxbench.errors import UsageError as UsageError
    from auxbench.methods._linked.own import (  # type: ignore[import-not-found]
        branches as branches,
    )
    from auxbench.networks.builder import Builder as Builder
    from auxbench.networks.builder import Network as Network
    from auxbench.spec.registry import BACKBONES as BACKBONES
    from auxbench.spec.registry import DATASETS as DATASETS
    from auxbench.spec.registry import METHODS as METHODS
    from auxbench.stats.loaded import load as load
    from auxbench.training.architecture import Architecture as Architecture
    from auxbench.training.balance import Balance as Balance
    from auxbench.training.balancer import Balancer as Balancer
    from auxbench.training.balancer import GradientBalancer as GradientBalancer
    from auxbench.training.context import Context as Context
    from auxbench.training.phase import Phase as Phase
    from auxbench.training.signals import Signals as Signals

_HOMES = {
    "Architecture": "training.architecture",
    "Balance": "training.balance",
    "ArrayDataset": "data.own.array_dataset",
    "BACKBONES": "spec.registry",
    "Balancer": "training.balancer",
    "Batch": "data.dataset",
    "Builder": "networks.builder",
    "Classes": "data.kinds",
    "Context": "training.context",
    "DATASETS": "spec.registry",
    "Dataset": "data.dataset",
    "Depth": "data.kinds",
    "GradientBalancer": "training.balancer",
    "Label": "data.kinds",
    "METHODS": "spec.registry",
    "Map": "data.kinds",
    "Network": "networks.builder",
    "Normals": "data.kinds",
    "Number": "data.kinds",
    "Phase": "training.phase",
    "Samples": "data.dataset",
    "Signals": "training.signals",
    "UsageError": "errors",
    "branches": "methods._linked.own",
    "from_huggingface": "data.own.adapters",
    "from_torch": "data.own.adapters",
    "load": "stats.loaded",
}
__all__ = ["__version__", "run", "tune", *_HOMES]

# In a wheel methods/ and tasks/ lie inside this folder; in a checkout they lie beside it.
if (_root := Path(__file__).resolve().parent.parent).joinpath("pyproject.toml").exists():
    __path__.append(str(_root))


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import auxbench` stays light."""
    if name in _HOMES:
        return getattr(import_module(f"auxbench.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'auxbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for `dir` and completion."""
    return sorted({*globals(), *__all__})


def run(
    methods: str | Sequence[str],
    dataset: str | Dataset | Sequence[str | Dataset],
    *,
    results: str | Path = "results/local",
    device: str = "auto",
    jobs: int | None = None,
    threads: int | None = None,
    workers: int | None = None,
    keep_weights: bool = False,
    timeout: str | float | None = None,
    stall: str | float | None = None,
    memory: str | float | None = None,
    shard: str | None = None,
    executor: str = "local",
    executor_options: str | Path | Mapping[str, Any] | None = None,
    address: str | None = None,
    keep_predictions: int = 0,
    retry: bool = False,
    quiet: bool = False,
    **words: Any,
) -> pandas.DataFrame:
    """Carry out a study and return one row per run, those recorded before included.

    `dataset` is text as on the command line, or an `ArrayDataset` of your own. The words are those
    of the command line: `backbone`, `primary`, `auxiliary`, `seeds`, `budget`, `pretrained`,
    `weights`, `head`, and single values of the budget such as `steps`. Every run is a process of
    its own, `jobs` of them at a time with `threads` threads each and `workers` more that prepare
    its batches, and its record is kept in the folder `results`; with `keep_weights` also the
    weights of its deployed network, for `auxbench deploy`. A run is ended that takes longer than
    `timeout` in all or than `stall` without a step ("2h", "90"), or more `memory` ("4GB"). `shard`
    "2/5" is the second of five parts of the study. `executor` is 'local', 'ray' (at `address`) or
    'slurm', with options of its own. `keep_predictions` test samples of a run are kept as pictures
    beside its record, for tasks that predict maps.
    Errors: `UsageError` for what cannot be carried out as asked; a run that fails leaves a record
    instead.
    """
    from auxbench.execution.executor import carry_out
    from auxbench.execution.fastest import resolved
    from auxbench.execution.limits import Limits
    from auxbench.execution.resources import Resources, options_of
    from auxbench.execution.study import Study, texts
    from auxbench.records.predictions import checked
    from auxbench.records.store import Store
    from auxbench.stats import frame

    limits, options = Limits.of(timeout, stall, memory), options_of(executor_options)
    resources = Resources(
        device,
        jobs,
        threads,
        limits,
        executor,
        options,
        address,
        workers,
        checked(keep_predictions),
        keep_weights,
    )
    store = Store(results)
    named = texts(dataset)
    words = resolved(methods, named, words, resources, store)
    study = Study.of(methods, named, **words).shard(shard)
    store.prepare()
    carry_out(study, store, resources, retry=retry, quiet=quiet)
    wanted = {run.id for run in study.runs}
    return frame([record for record in store.runs() if record["id"] in wanted])


def tune(
    methods: str | Sequence[str],
    dataset: str | Dataset | Sequence[str | Dataset],
    *,
    trials: int = 8,
    tuning_seeds: int = 2,
    halving: bool = False,
    sampler: str = "sobol",
    results: str | Path = "results/local",
    retry: bool = False,
    quiet: bool = False,
    **words: Any,
) -> pandas.DataFrame:
    """Tune every method by the same number of trials, and train what was selected.

    Trials are judged on validation data over `tuning_seeds` seeds of their own; with `halving` the
    worse half is dropped after each of these. `sampler` is 'sobol', or 'tpe' by optuna. Returns one
    row per final run, whose seeds are fresh; the other words are those of `run`. The folder
    `results` keeps the trials and a ledger of them beside the records. Errors: `UsageError` as for
    `run`, and for fewer than one trial or seed.
    """
    from auxbench.execution.executor import carry_out
    from auxbench.execution.fastest import resolved
    from auxbench.execution.resources import Resources
    from auxbench.execution.study import texts
    from auxbench.execution.tuning import tune as search
    from auxbench.records.store import Store
    from auxbench.stats import frame

    resources = Resources.of(words)
    store, named = Store(results), texts(dataset)
    words = resolved(methods, named, words, resources, store)
    store.prepare()
    _, study = search(
        methods,
        named,
        results,
        trials=trials,
        tuning_seeds=tuning_seeds,
        halving=halving,
        sampler=sampler,
        resources=resources,
        quiet=quiet,
        **words,
    )
    carry_out(study, store, resources, retry=retry, quiet=quiet)
    wanted = {run.id for run in study.runs}
    return frame([record for record in store.runs() if record["id"] in wanted])
