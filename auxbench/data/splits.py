"""The protocol: the samples that each part of a method may read (version: `budget.PROTOCOL`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from auxbench.data.dataset import Indices
from auxbench.data.loader import Loader
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.data.workers import NONE, Workers
from auxbench.errors import UsageError

HELD_OUT = 0.1
BLOCK, VALIDATING = 50, 8  # of every 50 consecutive samples, the last 8 are for validation
WHOLE = 1024


def last_of_blocks(count: int) -> npt.NDArray[np.bool_]:
    """Mark the training samples that are used for validation: the last 8 of every 50.

    Neighbouring samples look alike; in blocks, few of them are split between training and
    validation.

    >>> last_of_blocks(4).tolist(), int(last_of_blocks(795).sum())
    ([False, False, False, True], 123)
    """
    rows = np.arange(count)
    if count < BLOCK:  # a part of the data set, as in a dry run
        return rows >= count - max(count * VALIDATING // BLOCK, 1)
    return rows % BLOCK >= BLOCK - VALIDATING


def carve(count: int, labelled: Indices, seeds: Seeds) -> tuple[Indices, Indices]:
    """Split the training samples at random into those to train on and those held out.

    A tenth of the samples that have a label for the primary are held out. Only methods that request
    held-out data do without them in training; the others train on all samples. Errors:
    `UsageError` for too few samples.
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
    problem: Problem,
    stage: str,
    splits: Sequence[str],
    size: int,
    seeds: Seeds,
    workers: Workers = NONE,
) -> dict[str, Loader]:
    """The endless batches that a stage reads: 'train', its halves, or held-out data.

    'train/first' and 'train/second' are halves of the training samples, different in every epoch.
    'holdout' has batches of the held-out samples; a batch of 'holdout/whole' has all of them, but
    at most `WHOLE`. 'train/kept' has the training samples that remain after holding some out, for
    controls that do not read the held-out ones either. The `workers` prepare batches ahead, except
    those of 'holdout/whole', which may be too large to keep several.
    """
    samples = problem.training(seeds)
    kept = held = np.arange(len(samples), dtype=np.int64)
    if any(split.startswith("holdout") or split == "train/kept" for split in splits):
        labelled = samples.labelled.get(problem.primary.name, kept)
        kept, held = carve(len(samples), labelled, seeds)
    opened = {
        "train": lambda: Loader(samples, kept, size, seeds, (stage,), None, workers),
        "train/kept": lambda: Loader(samples, kept, size, seeds, (stage,), None, workers),
        "train/first": lambda: Loader(samples, kept, size, seeds, (stage,), 0, workers),
        "train/second": lambda: Loader(samples, kept, size, seeds, (stage,), 1, workers),
        "holdout": lambda: Loader(samples, held, size, seeds, ("holdout", stage), None, workers),
        "holdout/whole": lambda: Loader(samples, held, WHOLE, seeds, ("holdout", stage)),
    }
    return {split: opened[split]() for split in splits}
