"""Graphs of exported networks, compared node by node."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

__all__ = ["first_difference", "nodes"]

_LONGEST = 160  # characters of a node in a sentence
_KINDS = {InputKind.PARAMETER: "parameter", InputKind.BUFFER: "buffer"}


def nodes(program: ExportedProgram) -> list[str]:
    """The operations of a programme in order, each with its arguments, as text without names.

    The result of an earlier operation is written as its number, counted from 1. Parameters and
    buffers are numbered as they are first used, and written with type and shape; constants, and
    buffers that no state dict holds, are written as a digest of their values. Two networks with
    equal lists thus compute the same function of input, parameters and buffers. What no operation
    uses does not appear.

    >>> from auxbench.networks.exported import exported
    >>> layer = torch.nn.Linear(3, 2)
    >>> for node in nodes(exported(torch.nn.Sequential(layer, torch.nn.ReLU()), torch.ones(1, 3))):
    ...     print(node)
    aten.linear.default(input 1 float32 [1, 3], parameter 1 float32 [2, 3], parameter 2 float32 [2])
    aten.relu.default(node 1)
    output((node 2))
    """
    return _Reader(program).read(program.graph_module)


def first_difference(ours: Sequence[str], single: Sequence[str]) -> str:
    """The first of our nodes that differs from the single-task network's, in a sentence.

    It is empty if all nodes are the same.
    """
    for number, (one, other) in enumerate(zip_longest(ours, single), 1):
        if one != other:
            return f"node {number} of the exported graph is {_cut(one)}, not {_cut(other)}"
    return ""


class _Reader:
    """Writes the nodes of a programme; every input gets its number when it is first used."""

    def __init__(self, program: ExportedProgram) -> None:
        self.constants: Mapping[str, Any] = program.constants
        self.inputs = {
            str(getattr(spec.arg, "name", "")): spec for spec in program.graph_signature.input_specs
        }
        self.counts: dict[str, int] = {}

    def read(self, module: fx.GraphModule, inside: bool = False) -> list[str]:
        """The operations of a graph, those of its subgraphs inside the ones that call them."""
        names: dict[fx.Node, str] = {}
        lines: list[str] = []
        if inside:
            # Its arguments have their own order, and may have the names of the programme's inputs.
            given = module.graph.find_nodes(op="placeholder")
            names |= {node: f"argument {number}" for number, node in enumerate(given, 1)}
        for node in module.graph.nodes:
            if node.op == "placeholder":
                continue
            if node.op == "get_attr":
                names[node] = self.attribute(module, str(node.target))
                continue
            words = [self.word(value, names) for value in node.args]
            words += [f"{key}={self.word(value, names)}" for key, value in node.kwargs.items()]
            lines.append(f"{node.target}({', '.join(words)})")
            names[node] = f"node {len(lines)}"
        return lines

    def attribute(self, module: fx.GraphModule, target: str) -> str:
        found: Any = module
        for part in target.split("."):
            found = getattr(found, part)
        if isinstance(found, fx.GraphModule):
            return "{" + "; ".join(self.read(found, inside=True)) + "}"
        return _constant(found)

    def word(self, value: Any, names: dict[fx.Node, str]) -> str:
        """An argument as text."""
        if isinstance(value, fx.Node):
            if value not in names:
                names[value] = self.given(value)
            return names[value]
        if isinstance(value, list | tuple):
            return "(" + ", ".join(self.word(part, names) for part in value) + ")"
        if isinstance(value, Mapping):
            pairs = (f"{key}: {self.word(part, names)}" for key, part in value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, slice):
            ends = (value.start, value.stop, value.step)
            return ":".join(self.word(end, names) for end in ends)
        return repr(value)

    def given(self, node: fx.Node) -> str:
        """An input of the graph, a parameter, a buffer or a constant."""
        spec = self.inputs.get(node.name)
        if spec is not None and spec.target in self.constants:  # also buffers without persistence
            return _constant(self.constants[spec.target])
        kind = "input" if spec is None else _KINDS.get(spec.kind, "input")
        self.counts[kind] = number = self.counts.get(kind, 0) + 1
        return f"{kind} {number} {_described(node.meta.get('val'))}"


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype)[6:]} {list(value.shape)}"


def _constant(value: Any) -> str:
    if not isinstance(value, Tensor):
        return repr(value)
    plain = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    digest = hashlib.sha256(plain.numpy().tobytes()).hexdigest()
    return f"constant {_described(value)} {digest[:12]}"


def _cut(node: str | None) -> str:
    if node is None:
        return "absent"
    return node if len(node) <= _LONGEST else f"{node[: _LONGEST - 3]}..."
