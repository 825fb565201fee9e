"""A regression on random vectors whose auxiliary tasks help, are useless, do harm or conflict.

The answer is known by construction, and a run takes seconds. Inputs x are standard normal vectors.
With z = Q x for a fixed rotation Q, the primary is y = A + B + noise, where A = 2 z0 is easy and
B = (|z1| - m) + (|z2| - m), with m the mean of |z|, needs hidden units of its own. The auxiliaries
have no noise:

* `helpful` = 3 (z0, z1, z2), the coordinates that the primary is a function of. A few noisy labels
  cannot tell these three directions from the others; the backbone learns them from this task, and
  what is left for the primary is a function of three numbers. Sharing a representation pays off
  when the tasks need the same one and the primary's samples are too few to find it (Baxter; Maurer,
  Pontil and Romera-Paredes).
* `useless` = z3 / 2, which is independent of the primary and needs a direction that the primary
  does not use. It is small and linear, so it is learned within a few steps, after which it sends no
  gradient. A backbone that is wide enough has room for it as well: without a shortage of capacity
  there is no transfer, good or bad (Wu, Zhang and Ré).
* `harmful` = 16 z4 z5, just as independent, but hard, and in units that make its loss some forty
  times the primary's: it takes up the steps and the capacity of the backbone. The two gradients are
  nearly orthogonal, so methods that look at directions find little to correct; a small weight (such
  as `static:harmful=0.01`) undoes the harm.
* `conflicting` = A - 5 B. Both tasks learn A quickly, so the two heads read the same hidden units
  with weights of the same sign; what then remains to be learned is B for one and -5 B for the
  other, and the gradients on those units point in opposite directions. This is the misaligned
  covariance of Wu, Zhang and Ré in a non-linear network, and what gradient surgery (Yu et al.) and
  weighting by the gradients' cosine (Du et al.) were made for. Multiplying the task by -1 changes
  nothing, since it has its own head.

Tuned methods behave as the names promise at every length of training. The table gives the gain of
the plain sum (`hps`) over the single-task network in root mean square error, both tuned by 8
trials, with 95 % intervals over 20 seeds (150 steps of the budget demo) and 10 (600 and 2,000
steps):

| auxiliary | 150 steps | 600 steps | 2,000 steps |
|---|--:|--:|--:|
| `helpful` | 0.25 [0.23, 0.27] | 0.19 [0.15, 0.23] | 0.13 [0.10, 0.16] |
| `useless` | -0.01 [-0.01, 0.00] | 0.00 [-0.01, 0.01] | 0.00 [-0.02, 0.01] |
| `harmful` | -0.30 [-0.33, -0.27] | -0.23 [-0.27, -0.19] | -0.23 [-0.27, -0.19] |

By default, training has 200 noisy samples and validation 100, so that selection and tuning have no
more data than a user would; the test labels have no noise, so the score is the distance to the
truth, which is 2.2 for predicting the mean. Every seed draws its own samples, unless `draw` names
one draw for all.

Sources: Baxter, A Model of Inductive Bias Learning, JAIR 12, 2000,
https://arxiv.org/abs/1106.0245; Maurer, Pontil and Romera-Paredes, The Benefit of Multitask
Representation Learning, JMLR 17, 2016, https://arxiv.org/abs/1505.06279; Wu, Zhang and Ré,
Understanding and Improving Information Transfer in Multi-Task Learning, ICLR 2020,
https://arxiv.org/abs/2005.00944; Yu, Kumar, Gupta, Levine, Hausman and Finn, Gradient Surgery for
Multi-Task Learning, NeurIPS 2020, https://arxiv.org/abs/2001.06782; Du, Czarnecki, Jayakumar,
Farajtabar, Pascanu and Lakshminarayanan, Adapting Auxiliary Losses Using Gradient Similarity,
2018, https://arxiv.org/abs/1812.02224
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import numpy as np
import numpy.typing as npt

from auxbench import DATASETS, Dataset, Samples
from auxbench.data.arrays import Vectors
from auxbench.data.dataset import Draw, Task, named
from auxbench.data.kinds import Number
from auxbench.errors import UsageError
from auxbench.spec.marks import Help

Numbers = npt.NDArray[np.float64]

SPLITS = ("train", "validation", "test")
USED = 6  # coordinates that some task depends on


@DATASETS.register
class Toy(Dataset):
    """Vectors of `dimensions` numbers, with normal `noise` on the primary's labels.

    Errors: `UsageError` for an empty split, fewer than 6 dimensions and negative noise.
    """

    licence = "Apache-2.0 (drawn by auxbench)"
    backbone = "mlp"
    tasks: Mapping[str, Task] = named(
        {
            "primary": Number(),
            "helpful": Number(3),
            "useless": Number(),
            "harmful": Number(),
            "conflicting": Number(),
        }
    )
    primary = "primary"
    auxiliaries = ("helpful", "useless", "harmful", "conflicting")

    def __init__(
        self,
        *,
        train: Annotated[int, Help("Number of training samples.")] = 200,
        validation: Annotated[int, Help("Number of validation samples.")] = 100,
        test: Annotated[int, Help("Number of test samples.")] = 4000,
        dimensions: Annotated[int, Help("Numbers in an input vector.")] = 16,
        noise: Annotated[
            float,
            Help(
                "Standard deviation of the noise on the primary's labels, except in the test split."
            ),
        ] = 0.5,
        draw: Draw = None,
    ) -> None:
        self.counts = dict(zip(SPLITS, (train, validation, test), strict=True))
        for split, count in self.counts.items():
            if count < 1:
                raise UsageError(f"{split} '{count}' of 'toy' is too small; choose 1 or more.")
        if dimensions < USED:
            raise UsageError(
                f"dimensions '{dimensions}' of 'toy' is too small; choose {USED} or more."
            )
        if noise < 0:
            raise UsageError(f"noise '{noise:g}' of 'toy' is negative; choose 0 or more.")
        self.features = dimensions
        self.noise = noise
        self.draw = draw or 0

    @classmethod
    def tiny(cls) -> Dataset:
        return cls(train=8, validation=4, test=4)

    def prepare(self) -> None:
        """Nothing to do: the data are drawn when they are read."""

    def samples(self, split: str) -> Samples:
        place = SPLITS.index(split)
        draws = np.random.default_rng([self.features, place, self.draw])
        inputs = draws.standard_normal((self.counts[split], self.features))
        targets = self.targets(inputs)
        if split != "test":
            errors = np.random.default_rng([self.features, len(SPLITS), self.draw, place])
            targets["primary"] += self.noise * errors.standard_normal((len(inputs), 1))
        return Vectors(inputs, targets)

    @property
    def rotation(self) -> Numbers:
        """Q, whose rows are the directions that the tasks depend on: [dimensions, dimensions]."""
        draws = np.random.default_rng([self.features, len(SPLITS) + 1])
        rotation: Numbers = np.linalg.qr(draws.standard_normal((self.features,) * 2))[0]
        return rotation

    def targets(self, inputs: Numbers) -> dict[str, Numbers]:
        """Compute the noiseless labels of all tasks, [N, outputs], for inputs [N, dimensions]."""
        z = inputs @ self.rotation.T
        easy = 2 * z[:, :1]
        hard = (np.abs(z[:, 1:3]) - math.sqrt(2 / math.pi)).sum(axis=1, keepdims=True)
        return {
            "primary": easy + hard,
            "helpful": 3 * z[:, :3],
            "useless": z[:, 3:4] / 2,
            "harmful": 16 * z[:, 4:5] * z[:, 5:6],
            "conflicting": easy - 5 * hard,
        }
