"""Oracle subset: one network for every subset of the auxiliary tasks, the best by validation.

A control that shows what choosing auxiliary tasks alone can give. All 2^K subsets are trained for
the whole budget on the plain sum of their tasks, the empty one included, and wherever validation
is read it is read for all of them; the best state of all is tested. All passes are charged.

Known flaws: it costs 2^K trainings and takes the best of as many looks at validation, which
flatters its validation score though not its test score. It knows subsets, not weights.

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
    """The subset of auxiliary tasks that validation likes best; at most four of them.

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
    """A fork for every subset, each of which may be selected."""

    def proposals(self) -> list[list[float]]:
        count = len(self.forks)
        return [[float(other == own) for other in range(count)] for own in range(count)]
