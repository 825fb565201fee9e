"""The cost of the deployed network, and a check that it equals the single-task network's."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from auxbench.cost.flops import Flops

__all__ = ["inference"]

_SECONDS = 0.5  # time limit for timing
_FEWEST, _MOST = 5, 100  # limits on the number of timed forward passes


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lists the operators that run in its context, by name and in order."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.name().partition(".")[0]  # without the overload
        if not name.startswith("aten::empty"):  # only allocates scratch memory of a kernel
            self.names.append(name)
        return func(*args, **(kwargs or {}))


@dataclass
class _Graph:
    """A network's parameters and the operations of one forward pass."""

    operators: list[str]
    macs: int
    parameters: int
    buffers: int
    tensors: Counter[tuple[str, tuple[int, ...]]]

    @classmethod
    def of(cls, network: nn.Module, example: Tensor) -> _Graph:
        with _evaluation(network), Flops() as flops, _Operators() as operators:
            network(example)
        tensors = [*network.parameters(), *network.buffers()]
        return cls(
            operators=operators.names,
            macs=flops.total // 2,
            parameters=sum(tensor.numel() for tensor in network.parameters()),
            buffers=sum(tensor.numel() for tensor in network.buffers()),
            tensors=Counter((str(tensor.dtype)[6:], tuple(tensor.shape)) for tensor in tensors),
        )


def inference(
    network: nn.Module, example: Tensor, reference: nn.Module | None = None
) -> dict[str, Any]:
    """The cost of one prediction of `network`, and its difference from `reference`.

    For the record of a run: `network` is the deployed network and `reference` the single-task
    network of the same backbone. Both run in evaluation mode without gradients; the mode of every
    module is restored. `example` is a batch [B, ...], of which only the first element is used.

    Returns a JSON-able dict: parameters; macs (multiply-accumulates of matrix products,
    convolutions and attention); latency_ms, latency_ms_q25 and latency_ms_q75, the quartiles of
    up to 100 forward passes of batch 1 after warming up, fewer once half a second is spent;
    operators {name: count}; same_as_single, None without a reference; difference, a list of
    sentences. The two are the same when they execute the same operators in the same order, with
    as many multiply-accumulates, and hold parameters and buffers of the same shapes and types.

    >>> one, two = nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    >>> cost = inference(two, torch.ones(1, 2), one)
    >>> cost["parameters"], cost["macs"], cost["same_as_single"], cost["difference"]
    (3, 2, False, ['1 more aten::relu'])
    """
    example = example[:1].to(_device(network, example.device))
    graph = _Graph.of(network, example)
    low, median, high = _latency(network, example)
    difference: list[str] = []
    if reference is not None:
        moved = example.to(_device(reference, example.device))
        difference = _difference(graph, _Graph.of(reference, moved))
    return {
        "parameters": graph.parameters,
        "macs": graph.macs,
        "latency_ms": median,
        "latency_ms_q25": low,
        "latency_ms_q75": high,
        "operators": dict(sorted(Counter(graph.operators).items())),
        "same_as_single": None if reference is None else not difference,
        "difference": difference,
    }


@contextmanager
def _evaluation(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode without gradients, by setting each module's flag.

    A network's `train()` and `eval()` may be overridden, for example to fuse layers or to keep some
    of them frozen, and could then not be undone.
    """
    modes = [(module, module.training) for module in network.modules()]
    for module, _ in modes:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _device(network: nn.Module, default: torch.device) -> torch.device:
    return next((parameter.device for parameter in network.parameters()), default)


def _latency(network: nn.Module, example: Tensor) -> list[float]:
    """The quartiles of the milliseconds that one forward pass takes."""

    def now() -> float:
        if example.device.type == "cuda":
            torch.cuda.synchronize(example.device)
        return time.perf_counter()

    times: list[float] = []
    with _evaluation(network):
        for _ in range(3):  # first calls choose kernels and fill caches
            network(example)
        deadline = now() + _SECONDS
        while len(times) < _MOST and (len(times) < _FEWEST or now() < deadline):
            start = now()
            network(example)
            times.append(1000 * (now() - start))
    return quantiles(times, n=4, method="inclusive")


def _difference(ours: _Graph, single: _Graph) -> list[str]:
    """The differences of `ours` from `single`, in short sentences; empty if there are none."""
    sentences = [
        _more(ours.parameters - single.parameters, "parameter", "parameters"),
        _more(ours.buffers - single.buffers, "buffer element", "buffer elements"),
        _more(ours.macs - single.macs, "multiply-accumulate", "multiply-accumulates"),
    ]
    for key in sorted(ours.tensors | single.tensors):
        kind, shape = key
        of = f"of shape {'x'.join(map(str, shape))}" if shape else "without dimensions"
        count = ours.tensors[key] - single.tensors[key]
        sentences.append(_more(count, f"{kind} tensor {of}", f"{kind} tensors {of}"))
    counts, expected = Counter(ours.operators), Counter(single.operators)
    sentences += [
        _more(counts[name] - expected[name], name, name) for name in sorted(counts | expected)
    ]
    if counts == expected and ours.operators != single.operators:
        pairs = zip(ours.operators, single.operators, strict=True)
        number, (name, other) = next(
            (number, pair) for number, pair in enumerate(pairs, 1) if pair[0] != pair[1]
        )
        sentences.append(f"another order of operators: number {number} is {name}, not {other}")
    return [sentence for sentence in sentences if sentence]


def _more(count: int, singular: str, plural: str) -> str:
    if not count:
        return ""
    noun = singular if abs(count) == 1 else plural
    return f"{abs(count)} {'more' if count > 0 else 'fewer'} {noun}"
