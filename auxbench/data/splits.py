"""The protocol: which samples each part of a method may read; its version is `budget.PROTOCOL`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from auxbench.data.dataset import Indices
from auxbench.data.loader import Loader
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError

HELD_OUT = 0.1
BLOCK, VALIDATING = 50, 8  # of every 50 consecutive samples, the last 8 are for validation
WHOLE = 1024


def last_of_blocks(count: int) -> npt.NDArray[np.bool_]:
    """Mark the training samples that are used for validation: the last 8 of every 50.

    Neighbours, which look alike, are thus rarely on both sides.

    >>> last_of_blocks(4).tolist(), int(last_of_blocks(795).sum())
    ([False, False, False, True], 123)
    """
    rows = np.arange(count)
    if count < BLOCK:  # a part of the data set, as in a dry run
        return rows >= count - max(count * VALIDATING // BLOCK, 1)
    return rows % BLOCK >= BLOCK - VALIDATING


def carve(count: int, labelled: Indices, seeds: Seeds) -> tuple[Indices, Indices]:
    """Split training samples into those to train on and those held out, by the run's stream.

    Held out are a tenth of those that carry the primary's label. Only methods that ask for
    held-out data give it up; the others train on all of it. Errors: `UsageError` for too few.
    """
    held = max(2, round(HELD_OUT * len(labelled)))  # BatchNorm needs two
    if len(labelled) < 2 * held:
        raise UsageError(
            f"{len(labelled)} samples carry the primary's label, too few to hold some out for this "
            "method; label more of them."
        )
    out = np.sort(seeds.numpy("holdout").permutation(labelled)[:held])
    return np.setdiff1d(np.arange(count, dtype=np.int64), out), out


def open_loaders(
    problem: Problem, stage: str, splits: Sequence[str], size: int, seeds: Seeds
) -> dict[str, Loader]:
    """The endless batches that a stage reads: 'train', its halves, or held-out data.

    'train/first' and 'train/second' halve the training samples again in every epoch. 'holdout' are
    batches of the held-out samples, and of 'holdout/whole' one batch is all of them, or as many as
    `WHOLE`. 'train/kept' is the 'train' of those who read held-out samples, for a control that goes
    without them and does not read them.
    """
    samples = problem.training(seeds)
    kept = held = np.arange(len(samples), dtype=np.int64)
    if any(split.startswith("holdout") or split == "train/kept" for split in splits):
        labelled = samples.labelled.get(problem.primary.name, kept)
        kept, held = carve(len(samples), labelled, seeds)
    opened = {
        "train": lambda: Loader(samples, kept, size, seeds, (stage,)),
        "train/kept": lambda: Loader(samples, kept, size, seeds, (stage,)),
        "train/first": lambda: Loader(samples, kept, size, seeds, (stage,), 0),
        "train/second": lambda: Loader(samples, kept, size, seeds, (stage,), 1),
        "holdout": lambda: Loader(samples, held, size, seeds, ("holdout", stage)),
        "holdout/whole": lambda: Loader(samples, held, WHOLE, seeds, ("holdout", stage)),
    }
    return {split: opened[split]() for split in splits}
