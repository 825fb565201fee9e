"""The contract of data sets, checked on their tiny variants, and on their data if they are there.

A check takes a data set as users write it, such as `mydata:draw=3`.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import numpy as np
import torch
from torch import Tensor

from auxbench.contract import documentation
from auxbench.contract.batches import digest, everything, guess, perfect, without_labels
from auxbench.contract.documentation import Broken, Exempt, demand, listed, same_global_state
from auxbench.contract.dry_run import tiny, training
from auxbench.data.dataset import Batch, Dataset, make_dataset
from auxbench.data.problem import Problem
from auxbench.errors import UsageError
from auxbench.networks.backbone import resolve
from auxbench.spec.grammar import Choice
from auxbench.spec.registry import DATASETS

SPLITS = ("train", "validation", "test")
SIDE = 64  # pixels of the pictures that are read from real data
FEW = 8  # the number of them
SMALL = {False: "test_resnet", True: "mlp"}  # backbones for images and for vectors


def it_says_in_a_sentence_what_it_is(part: str) -> None:
    """The module's docstring begins with a sentence of 21 to 159 characters."""
    documentation.it_says_in_a_sentence_what_it_is(part, DATASETS)


def its_options_have_types_and_defaults(part: str) -> None:
    """Keyword-only parameters of the constructor have types, and defaults that can be typed."""
    documentation.its_options_have_types_and_defaults(part, DATASETS)


def its_options_are_explained(part: str) -> None:
    """Every option has a help text of one or two short sentences."""
    documentation.its_options_are_explained(part, DATASETS)


def its_examples_run(part: str) -> None:
    """The examples in docstrings give the output they show."""
    documentation.its_examples_run(part, DATASETS)


def it_names_a_licence(part: str) -> None:
    """The class attribute `licence` is a text, which `list datasets` shows."""
    licence = getattr(DATASETS[_name(part)], "licence", "")
    demand(
        isinstance(licence, str) and bool(licence.strip()),
        f"the licence is {licence!r}; set the class attribute licence, such as to 'CC0-1.0'.",
    )


def its_tasks_belong_together(part: str) -> None:
    """The primary and the auxiliaries are tasks, and the default backbone fits the inputs."""
    data = _tiny(part)
    wanted = (data.primary, *data.auxiliaries)
    unknown = [name for name in wanted if name not in data.tasks]
    demand(
        not unknown,
        f"{listed(unknown)} is no task; the tasks are {', '.join(data.tasks)}.",
    )
    demand(
        len(set(wanted)) == len(wanted),
        f"the primary and the auxiliaries are {', '.join(wanted)}; name each task once.",
    )
    dense = [name for name, task in data.tasks.items() if task.dense]
    demand(
        not (data.features and any(data.size)),
        f"it has size {data.size} and {data.features} features; set size for images, or features "
        "for vectors.",
    )
    demand(
        not (data.features and dense),
        f"the inputs are vectors, and {listed(dense)} predicts maps; give images.",
    )
    try:
        resolve(data.backbone, data.features)
    except UsageError as error:
        raise Broken(f"its default backbone is refused: {error}") from None


def batches_have_inputs_and_a_target_per_task(part: str) -> None:
    """A batch has images [B, 3, H, W] or vectors [B, F] in single precision, and all targets."""
    _well_formed(_tiny(part), "the tiny variant")


def _well_formed(data: Dataset, which: str) -> None:
    for split in SPLITS:
        samples = data.samples(split)
        demand(len(samples) > 0, f"{which} has no samples for {split}; give at least one.")
        batch = samples.batch(np.arange(min(FEW, len(samples))), None)
        place = f"{which}, {split}:"
        shape = (data.features,) if data.features else (3, *data.size)
        found = tuple(batch.inputs.shape)
        demand(
            found == (min(FEW, len(samples)), *shape),
            f"{place} the inputs have the shape {list(found)}, not [B, "
            f"{', '.join(map(str, shape))}]; correct them, or size or features.",
        )
        demand(
            batch.inputs.dtype == torch.float32 and bool(batch.inputs.isfinite().all()),
            f"{place} the inputs are {batch.inputs.dtype} or not finite; give finite float32.",
        )
        lacking = [name for name in data.tasks if name not in batch.targets]
        demand(not lacking, f"{place} there is no target for {listed(lacking)}; give all of them.")
        for name in data.tasks:
            count = len(batch.targets[name])
            demand(
                count == len(batch),
                f"{place} the target of '{name}' has {count} rows for {len(batch)} inputs.",
            )


def no_sample_is_in_two_splits(part: str) -> None:
    """The splits share no input."""
    data = _tiny(part)
    seen = [{digest(Batch(x[None], {})) for x in everything(data, s).inputs} for s in SPLITS]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        demand(
            not seen[one] & seen[other],
            f"{SPLITS[one]} and {SPLITS[other]} share an input; let every sample be in one split.",
        )


def reading_again_gives_the_same(part: str) -> None:
    """A sample depends on its index alone: not on earlier ones, nor on those beside it."""
    data, again = _tiny(part), _fresh(part)
    for split in SPLITS:
        one, other = data.samples(split), again.samples(split)
        whole = one.batch(np.arange(len(one)), None)
        demand(
            digest(whole) == digest(other.batch(np.arange(len(other)), None)),
            f"{split} read twice differs; draw nothing but from a generator with a fixed seed.",
        )
        order = np.arange(len(one))[::-1].copy()
        back = one.batch(order, None)
        turned = Batch(whole.inputs.flip(0), {k: v.flip(0) for k, v in whole.targets.items()})
        demand(
            digest(back) == digest(turned),
            f"{split} read backwards has other samples; let batch(indices) keep to the indices.",
        )


def augmentation_comes_from_the_given_generator(part: str) -> None:
    """The same generator gives the same batch, and global random states are left alone."""
    samples = _tiny(part).samples("train")
    indices = np.arange(len(samples))
    with same_global_state("draw from the generator that batch() is given"):
        drawn = [digest(samples.batch(indices, np.random.default_rng(0))) for _ in range(2)]
    demand(
        drawn[0] == drawn[1],
        "the same generator gives different batches; draw from it and from nothing else.",
    )


def a_task_alone_is_read_as_among_the_others(part: str) -> None:
    """After `narrow`, the inputs and the labels that are left are the same."""
    narrow, whole = _fresh(part), _tiny(part)
    task = narrow.tasks[narrow.primary]
    narrow.narrow([task])
    few, full = (
        data.samples("train").batch(np.arange(min(4, len(data.samples("train")))), _rng())
        for data in (narrow, whole)
    )
    demand(
        torch.equal(few.inputs, full.inputs)
        and _equal(few.targets[task.name], full.targets[task.name]),
        "with one task alone its samples differ; let what is drawn not depend on the tasks.",
    )


def losses_are_finite_and_missing_labels_cost_nothing(part: str) -> None:
    """The loss of any prediction is finite, and 0 with no gradient where labels are missing."""
    data = _tiny(part)
    batch = everything(data, "train")
    for name, task in data.tasks.items():
        prediction = guess(task, batch).requires_grad_()
        target = batch.targets[name]
        try:
            loss = task.losses(prediction, target).mean()
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            text = " ".join(str(error).split())[:160]
            raise Broken(
                f"the loss of '{name}' fails on a target {_spoken(target)}: {text}"
            ) from None
        demand(
            bool(loss.isfinite()) and bool(loss > 0),
            f"the loss of '{name}' is {loss.item():g} for a random prediction; correct its kind or "
            "its labels.",
        )
        none = task.losses(prediction, without_labels(task, prediction, target)).mean()
        none.backward()  # type: ignore[no-untyped-call]
        demand(
            none.item() == 0 and prediction.grad is not None and not prediction.grad.any(),
            f"the loss of '{name}' is {none.item():g} where every label is missing; let the kind "
            "count no sample then.",
        )


def a_perfect_prediction_scores_best(part: str) -> None:
    """Predicting the labels of the test split is better than chance by every metric."""
    data = _tiny(part)
    batch = everything(data, "test")
    for name, task in data.tasks.items():
        for make in task.kind.metrics:
            values = []
            for prediction in (perfect(task, batch), guess(task, batch)):
                metric = make()
                metric.update(prediction, batch.targets[name])
                values.append(metric.compute())
            best, other = values
            demand(
                best >= other if metric.direction == "up" else best <= other,
                f"by {metric.name}, a perfect prediction of '{name}' has {best:g} and a random one "
                f"{other:g}; correct the labels or the direction.",
            )


def it_trains(part: str) -> None:
    """`hps` trains on it for three steps, on a tiny network."""
    data, name = _tiny(part), _name(part)
    run = training(
        "hps",
        auxiliaries=tuple(data.auxiliaries),
        primary=data.primary,
        backbone=SMALL[bool(data.features)],
        dataset=name,
        flops=False,
    )
    run.run()


def its_data_can_be_read(part: str) -> None:
    """The first samples of every split, as a run would read them, are well-formed."""
    try:
        data = make_dataset(part, SIDE)
        data.identity()
    except (UsageError, PackageNotFoundError) as error:
        raise Exempt(f"the data are not here: {error}") from None
    Problem.of(data)
    data = data.first(FEW)
    data.prepare()
    _well_formed(data, "the data set")


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.eq(one, other).logical_or(one != one).all())


def _spoken(target: Tensor) -> str:
    return f"{list(target.shape)} of {target.dtype}".replace("torch.", "")


def _rng() -> np.random.Generator:
    return np.random.default_rng(3)


def _name(part: str) -> str:
    return Choice.parse(part).name


def _tiny(part: str) -> Dataset:
    return tiny(_name(part))


def _fresh(part: str) -> Dataset:
    """A fresh copy of the tiny variant."""
    data: Dataset = DATASETS[_name(part)].tiny()
    data.prepare()
    return data
