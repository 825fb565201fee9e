"""Floating-point operations of code run in a context, counted from the operators' shapes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from math import prod
from typing import Any, Self

import torch
from torch import Tensor
from torch._functorch.autograd_function import custom_function_call
from torch._ops import HigherOrderOperator
from torch.overrides import TorchFunctionMode
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

__all__ = ["Flops", "chosen"]

_aten = torch.ops.aten


def _convolution_backward(
    grad_output: Tensor,
    inputs: Tensor,
    weight: Tensor,
    bias_sizes: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    output_mask: list[bool],
    out_val: object = None,
) -> int:
    """Count both gradients of a convolution; each takes as many products as the forward pass.

    torch's own formula ignores `groups` in the gradient of the weight, and thus counts C times too
    much for a depth-wise convolution with C channels.
    """
    places = inputs if transposed else grad_output
    products = len(inputs) * prod(places.shape[2:]) * weight.numel()
    return 2 * products * sum(output_mask[:2])


# Formulas take the operator's arguments and, as `out_val`, its result. torch's registry has lacked
# the CPU's attention kernel for many releases, so that attention there counted as free.
_FORMULAS: dict[Any, Callable[..., int]] = {
    _aten._scaled_dot_product_flash_attention_for_cpu: flop_counter.flop_registry[
        _aten._scaled_dot_product_flash_attention
    ],
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_counter.flop_registry[
        _aten._scaled_dot_product_flash_attention_backward
    ],
    **flop_counter.flop_registry,
    _aten.convolution_backward: _convolution_backward,
}


def chosen(func: Any, args: tuple[Any, ...]) -> Callable[[], Any] | None:
    """The branch that `torch.cond` is about to take, ready to be called; None for other operators.

    A mode that sees the operator, and not what it does, runs the branch itself.
    """
    if func is not torch.ops.higher_order.cond:
        return None
    condition, yes, no, operands = args
    branch = yes if condition else no
    return lambda: branch(*operands)


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The mode of torch that adds up what operators do."""

    supports_higher_order_operators = True
    marked = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self.uncounted: set[str] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Leave the counting unmarked: torch's mark imports its compiler, which takes a second."""
        return False

    @classmethod
    def mark(cls) -> None:
        """Keep torch's compiler out of the counting, before an operator that imports it anyway."""
        if not cls.marked:
            _Counting.marked = True
            dispatch = torch.compiler.disable(cls.__torch_dispatch__)  # type: ignore[no-untyped-call]
            _Counting.__torch_dispatch__ = dispatch  # type: ignore[method-assign]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            if branch := chosen(func, args):
                with self:
                    return branch()
            self.uncounted.add(func.__name__)
            return func(*args, **kwargs)
        formula = _FORMULAS.get(func.overloadpacket)
        if formula is None:
            # Under inference_mode, composite operators arrive whole; their parts are counted.
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        return result


class Flops:
    """Counts the floating-point operations of matrix products, convolutions and attention.

    A multiplication and an addition are two operations; element-wise work, normalisation and
    pooling are not counted, as in the literature. `total` grows while the context is open. Counting
    does not change any result. Of `torch.cond` the branch that is taken is counted. Other operators
    that call functions, such as `scan`, run uncounted, and `uncounted` has their names.

    The formulas are those of `torch.utils.flop_counter`, with two corrections (see above).
    torch's `FlopCounterMode` also tracks the module hierarchy with hooks on the graph, which raise
    an error when `torch.autograd.grad` takes gradients more than once.

    >>> with Flops() as flops:
    ...     _ = torch.nn.Linear(3, 4)(torch.ones(5, 3))
    >>> flops.total  # 5 x 3 x 4 products and sums
    120
    """

    def __init__(self) -> None:
        self._counting = _Counting()
        self._open = ExitStack()

    @property
    def total(self) -> int:
        """The number of operations so far."""
        return self._counting.total

    @property
    def uncounted(self) -> set[str]:
        """The names of operators that ran uncounted."""
        return self._counting.uncounted

    def __enter__(self) -> Self:
        self._open.enter_context(_Traced(self._counting))
        self._open.enter_context(self._counting)
        return self

    def __exit__(self, *about: Any) -> None:
        self._open.close()


class _Inside(_Counting):  # type: ignore[no-untyped-call]
    """Counts what an operator does that torch traces before it runs."""

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        return True  # or torch would trace nothing


class _Traced(TorchFunctionMode):
    """Has torch trace operators that call functions, as it does where nothing is counted.

    It traces nothing while a mode such as ours is active, and gradients would then miss the
    parameters that the functions read.
    """

    def __init__(self, outer: _Counting) -> None:
        super().__init__()
        self.outer = outer

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if not isinstance(func, HigherOrderOperator) or func is custom_function_call:
            return func(*args, **kwargs)  # the latter is a Function of autograd inside torch.func
        _Counting.mark()
        if not torch.is_grad_enabled():
            return func(*args, **kwargs)
        # A trace that torch has begun would otherwise go on with the frames of this method.
        run = torch.compiler.disable(self._run)  # type: ignore[no-untyped-call]
        return run(lambda: func(*args, **kwargs))

    def _run(self, call: Callable[[], Any]) -> Any:
        inside = _Inside()
        known = hasattr(TorchDispatchMode, "ignore_compile_internals")
        with _disable_current_modes(), inside if known else nullcontext():
            result = torch.compile(call, backend="eager", fullgraph=True)()
        self.outer.total += inside.total
        self.outer.uncounted |= inside.uncounted if known else {"cond"}
        return result
