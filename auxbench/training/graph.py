"""The graph of a batch, as its losses see it: the parameters they reach, and where they meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import GradientEdge, Node
from torch.nn import Parameter

from auxbench.training.exchange import is_copy

# torch.compile, and DistributedDataParallel that looks for unused parameters
MERGING = ("CompiledFunctionBackward", "_DDPSinkBackward")

# Of every loss, the ids of the parameters that it reaches, and when each was last used.
Reach = tuple[dict[int, int], ...]


class Graph:
    """The graph that T losses have in common.

    >>> import torch
    >>> shared, own = Parameter(torch.ones(1)), Parameter(torch.ones(1))
    >>> feature = (3 * shared).exp()
    >>> graph = Graph([(2 * feature).sum(), (feature * own).sum()])
    >>> [id(shared) in reached for reached in graph.reach]
    [True, True]
    >>> [id(own) in reached for reached in graph.reach]
    [False, True]
    >>> [[edge.node.name() for edge in edges] for edges in graph.cut or ()]
    [['ExpBackward0'], ['ExpBackward0']]
    """

    def __init__(self, losses: Sequence[Tensor]) -> None:
        self.roots = [loss.grad_fn for loss in losses]
        self.walks = [_walk([] if root is None else [root]) for root in self.roots]

    @cached_property
    def reach(self) -> Reach:
        """The parameters that each loss reaches."""
        return tuple(leaves for leaves, _ in self.walks)

    def readers(self, parameter: Parameter) -> list[int]:
        """The tasks whose losses reach a parameter."""
        return [task for task, reached in enumerate(self.reach) if id(parameter) in reached]

    @property
    def reentrant(self) -> bool:
        """True if it hides parameters in a block that is checkpointed with use_reentrant=True."""
        nodes = (node for _, passed in self.walks for node in passed)
        return any(type(node).__name__ == "CheckpointFunctionBackward" for node in nodes)

    @cached_property
    def merged(self) -> bool:
        """True if several losses pass a node that hides which parameters each of them depends on.

        All outputs of a compiled network come from one node, for example.
        """
        nodes = (node for _, passed in self.walks for node in passed)
        counts = Counter(node for node in nodes if isinstance(node, BackwardCFunction))
        return any(n > 1 and type(node).__name__ in MERGING for node, n in counts.items())

    @cached_property
    def cut(self) -> list[list[GradientEdge]] | None:
        """The edges, per loss, that lead from what it alone reaches to what several losses reach.

        A gradient can be passed down to these edges first and on from there later. There is no such
        cut where one edge depends on another, since gradients at both would count their path twice,
        or where an edge leads to a parameter.
        """
        counts = Counter(node for _, nodes in self.walks for node in nodes)
        cut: list[list[GradientEdge]] = []
        for root, (_, nodes) in zip(self.roots, self.walks, strict=True):
            if root is None or counts[root] > 1:
                return None
            own = (node for node in nodes if counts[node] == 1)
            pairs = (pair for node in own for pair in node.next_functions)
            edges = {(node, place) for node, place in pairs if node and counts[node] > 1}
            # in an order that does not depend on addresses in memory
            ordered = sorted(edges, key=lambda edge: (edge[0]._sequence_nr(), edge[1]))
            cut.append([GradientEdge(*edge) for edge in ordered])
        border = {edge.node for edges in cut for edge in edges}
        _, below = _walk([child for node in border for child, _ in node.next_functions if child])
        if not border or border & below or any(_leaf(node) is not None for node in border):
            return None
        return cut


def _walk(starts: Iterable[Node]) -> tuple[dict[int, int], set[Node]]:
    """The leaves that nodes depend on and when each was last used, by id; and all nodes passed."""
    leaves: dict[int, int] = {}
    seen = set(starts)
    stack = [node for node in seen if _leaf(node) is None]
    while stack:
        node = stack.pop()
        for child, _ in node.next_functions:
            if child is None:
                continue
            leaf = _leaf(child)
            if leaf is not None:
                order = int(node._sequence_nr())
                leaves[id(leaf)] = max(leaves.get(id(leaf), -1), order)
            elif child not in seen:
                stack.append(child)
            seen.add(child)
    return leaves, seen


def _leaf(node: Node) -> Tensor | None:
    """The parameter that a node stands for, possibly in the form of one process's copy."""
    if is_copy(node):
        node = node.next_functions[0][0] or node
    leaf: Tensor | None = getattr(node, "variable", None)
    return leaf
