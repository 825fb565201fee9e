"""BatchNorm over all processes that train one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from auxbench.training.exchange import Spread, Sum


class GlobalStatistics(TorchFunctionMode):
    """A context in which BatchNorm uses the statistics of the batch of which `own` rows are here.

    It replaces the function and no module, so that it holds for every network, and on a CPU too.
    """

    def __init__(self, own: int, rows: int) -> None:
        super().__init__()
        self.own, self.rows = own, rows

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is not functional.batch_norm:
            return func(*args, **(kwargs or {}))
        return self.batch_norm(*args, **(kwargs or {}))

    def batch_norm(
        self,
        values: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """The same as torch's function, over all processes; two messages each way."""
        if not training:
            return functional.batch_norm(
                values, running_mean, running_var, weight, bias, False, momentum, eps
            )
        axes = [0, *range(2, values.ndim)]
        shape = [1, -1, *[1] * (values.ndim - 2)]
        count = values.numel() // values.shape[1] * self.rows // self.own
        mean = _over_all(values.sum(axes)) / count
        centred = values - mean.view(shape)
        variance = _over_all(centred.square().sum(axes)) / count
        with torch.no_grad():
            if running_mean is not None:
                running_mean.lerp_(mean.detach().to(running_mean), momentum)
            if running_var is not None:
                exact = variance.detach() * (count / max(count - 1, 1))
                running_var.lerp_(exact.to(running_var), momentum)
        result = centred * torch.rsqrt(variance + eps).view(shape)
        result = result if weight is None else result * weight.view(shape)
        return result if bias is None else result + bias.view(shape)


def _over_all(values: Tensor) -> Tensor:
    """The sum over all processes, for each one's own use."""
    total: Tensor = Spread.apply(Sum.apply(values))
    return total
