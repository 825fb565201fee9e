"""Oracle subset: one network per subset of the auxiliary tasks, with the best chosen by validation.

A control that shows what can be gained by choosing auxiliary tasks alone. All 2^K subsets,
including the empty one, are trained for the whole budget on the plain sum of their tasks. Every
validation evaluates all of them, and the best state overall is tested. All passes are counted.

Known flaws: it costs 2^K trainings and takes the best of 2^K networks at every validation, which
flatters its validation score but not its test score. It considers subsets, not weights.

@inproceedings{standley2020oracle-subset,
  author = {Standley, T. and Zamir, A. and Chen, D. and Guibas, L. and Malik, J. and Savarese,
    S.},
  title = {{Which Tasks Should Be Learned Together in Multi-task Learning?}},
  booktitle = {International Conference on Machine Learning (ICML)},
  year = {2020},
  url = {https://arxiv.org/abs/1905.07553},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from auxbench import METHODS, Context, Phase
from auxbench.errors import UsageError

from ._forks import Forked, Forks

MOST = 4


@METHODS.register
class OracleSubset(Forked):
    """The subset of auxiliary tasks with the best validation score; at most four auxiliaries.

    >>> import torch
    >>> from auxbench import Signals
    >>> balancer = OracleSubset(["a", "b"], torch.Generator())
    >>> balancer.weights(Signals.of([1.0, 1.0], torch.eye(2))).tolist()
    [1.0, 1.0]
    """

    family = "control"

    def around(self, context: Context, phases: Sequence[Phase]) -> Forks:
        count = len(self.tasks) - 1
        if count > MOST:
            raise UsageError(
                f"method 'oracle-subset' would train {2**count} networks for {count} auxiliary "
                f"tasks; name at most {MOST} by --auxiliary."
            )
        subsets = [[1.0, *flags] for flags in product((0.0, 1.0), repeat=count)]
        return Subsets(context, phases, self, subsets)


class Subsets(Forks):
    """One fork per subset, each of which may be selected."""

    def proposals(self) -> list[list[float]]:
        count = len(self.forks)
        return [[float(other == own) for other in range(count)] for own in range(count)]
