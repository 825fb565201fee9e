"""The cost of the deployed network, and a check that it equals the single-task network's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from auxbench.cost.flops import Flops, chosen
from auxbench.cost.graph import first_difference, nodes
from auxbench.cost.latency import LIMIT, latencies
from auxbench.errors import AuxbenchError
from auxbench.networks.exported import evaluation, exported

__all__ = ["inference"]


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lists the operators that run in its context, by name and in order."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.name().partition(".")[0]  # without the overload
        if not name.startswith("aten::empty"):  # only allocates scratch memory of a kernel
            self.names.append(name)
        if branch := chosen(func, args):
            with self:
                return branch()
        return func(*args, **(kwargs or {}))


@dataclass
class _Graph:
    """A network's parameters and the operations of one forward pass."""

    operators: list[str]
    macs: int
    parameters: int
    buffers: int
    tensors: Counter[tuple[str, tuple[int, ...]]]
    uncounted: list[str]

    @classmethod
    def of(cls, network: nn.Module, example: Tensor) -> _Graph:
        with evaluation(network), Flops() as flops, _Operators() as operators:
            network(example)
        tensors = [*network.parameters(), *network.buffers()]
        return cls(
            operators=operators.names,
            macs=flops.total // 2,
            parameters=sum(tensor.numel() for tensor in network.parameters()),
            buffers=sum(tensor.numel() for tensor in network.buffers()),
            tensors=Counter((str(tensor.dtype)[6:], tuple(tensor.shape)) for tensor in tensors),
            uncounted=sorted(flops.uncounted),
        )


def inference(
    network: nn.Module, example: Tensor, reference: nn.Module | None = None
) -> dict[str, Any]:
    """The cost of one prediction of `network`, and its difference from `reference`.

    For the record of a run: `network` is the deployed network and `reference` the single-task
    network of the same backbone. Both run in evaluation mode without gradients; the mode of every
    module is restored. `example` is a batch [B, ...], of which only the first element is used.

    Returns a JSON-able dict: parameters; macs (multiply-accumulates of matrix products,
    convolutions and attention); latency_ms, latency_ms_q25 and latency_ms_q75, the quartiles for
    batch 1; latency, the median and the 95th percentile for several batch sizes (see `latencies`),
    each timed for latency_limit_s seconds; operators {name: count}; same_as_single, None without a
    reference; difference, a list of sentences; graph, how the two were compared (None without a
    reference). The two are the same when the graphs that torch.export makes of them are the same
    node by node (see `nodes`), with as many multiply-accumulates, and hold parameters and buffers
    of the same shapes and types, and when they execute the same operators for one element and for
    two. Of networks that cannot be exported, only the operators are compared, by name and in order,
    and `graph` says why. `uncounted` is there only if operators ran whose multiply-accumulates
    cannot be counted, such as `scan`, and has their names.

    >>> one, two = nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    >>> cost = inference(two, torch.ones(1, 2), one)
    >>> cost["parameters"], cost["macs"], cost["same_as_single"]
    (3, 2, False)
    >>> for sentence in cost["difference"]:
    ...     print(sentence)
    1 more aten::relu
    node 2 of the exported graph is aten.relu.default(node 1), not output((node 1))
    """
    example = example[:1].to(_device(network, example.device))
    graph = _Graph.of(network, example)
    latency = latencies(network, example)
    difference: list[str] = []
    proof: dict[str, Any] | None = None
    if reference is not None:
        moved = example.to(_device(reference, example.device))
        proof = _proof(network, reference, moved)
        difference = _difference(graph, _Graph.of(reference, moved))
        difference += filter(None, [proof.pop("difference")])
        if not difference:  # a graph is of one size of batch, on which a network may depend
            two = torch.cat([moved, moved])
            found = _difference(_Graph.of(network, two), _Graph.of(reference, two))
            difference = [f"for a batch of two, {sentence}" for sentence in found]
    first = latency[0]
    return {
        "parameters": graph.parameters,
        "macs": graph.macs,
        "latency_ms": first["p50_ms"],
        "latency_ms_q25": first.pop("p25_ms"),
        "latency_ms_q75": first.pop("p75_ms"),
        "latency": latency,
        "latency_limit_s": LIMIT,
        "operators": dict(sorted(Counter(graph.operators).items())),
        "same_as_single": None if reference is None else not difference,
        "difference": difference,
        "graph": proof,
        **({"uncounted": graph.uncounted} if graph.uncounted else {}),
    }


def _device(network: nn.Module, default: torch.device) -> torch.device:
    return next((parameter.device for parameter in network.parameters()), default)


def _proof(network: nn.Module, reference: nn.Module, example: Tensor) -> dict[str, Any]:
    """The comparison of the exported graphs; `difference` is empty if all nodes are the same."""
    try:
        ours, single = (nodes(exported(one, example)) for one in (network, reference))
    except AuxbenchError as error:
        return {"compared": "operators", "nodes": None, "difference": "", "why": str(error)}
    difference = first_difference(ours, single)
    return {"compared": "exported graphs", "nodes": len(ours), "difference": difference}


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
