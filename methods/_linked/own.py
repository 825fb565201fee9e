"""Aux-NAS on networks of one's own: `auxbench.branches`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from auxbench.networks.lockstep import Chain

from ..auxnas import Schedule
from .links import Level
from .own_branches import Branches
from .own_given import Blocks, check_apart, check_options, check_sizes, label, names_of


def branches(
    networks: Sequence[nn.Module],
    blocks: Blocks,
    example: Any,
    *,
    steps: int,
    links: Level = "block",
    directions: Literal["both", "p2a"] = "both",
    l1: float = 100.0,
    rate: float | None = None,
    channel_dim: Literal[1, -1] | None = None,
) -> Branches:
    """Link networks of your own as Aux-NAS does, to train them in a loop of your own.

    `networks` are any modules that take the same inputs, in their present state; the first is the
    primary, which counts in the end. `blocks` names the modules after which links attach, in the
    order in which they run: one list for all networks, or one for each, of the same length.
    `example` is an input of a few samples, or a tuple of several arguments; a pass finds the sizes
    of features by it and changes nothing. `steps` is the number of training steps: it sets the pace
    of the search, which closes the links into the primary after three fifths of them.

    Features are [B, C], [B, positions, C] or [B, C, h, w]; with `channel_dim=1` all of them have
    their channels in dimension 1, with -1 in the last. Links lead to a block from the same block of
    another network and from up to two before it in the same stage, a row of blocks whose features
    keep their size; a chain of equal blocks is divided into four stages. `links="stage"` has links
    at the ends of stages only. `directions`, `l1` and `rate` are those of `auxnas`: see `auxbench
    show method auxnas`.
    Errors: `UsageError` for networks and blocks that cannot be linked.
    Source: Gao and others, Aux-NAS, ICLR 2024, https://arxiv.org/abs/2405.05695.

    >>> def network() -> nn.Module:
    ...     layers = [nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)]
    ...     return nn.Sequential(*layers)
    >>> depth, normals = network(), network()
    >>> import torch
    >>> x, y = torch.randn(16, 4), torch.randn(2, 16, 1)
    >>> linked = branches([depth, normals], ["1", "3"], x, steps=20)
    >>> optimizer = torch.optim.SGD(linked.parameters(), lr=0.1)
    >>> def losses(part: slice) -> list[torch.Tensor]:
    ...     return [(out - true[part]).square().mean() for out, true in zip(linked(x[part]), y)]
    >>> for step in range(20):
    ...     linked.search(lambda: losses(slice(8, 16)))
    ...     optimizer.zero_grad()
    ...     sum(losses(slice(0, 8))).backward()
    ...     optimizer.step()
    >>> linked.primary() is depth
    True
    """
    choices = {
        "links": (links, ("block", "stage")),
        "directions": (directions, ("both", "p2a")),
        "channel_dim": (channel_dim, (None, 1, -1)),
    }
    check_options(steps, l1, rate, choices)
    check_apart(networks)
    chains = [
        Chain(network, names, label(number))
        for number, (network, names) in enumerate(
            zip(networks, names_of(blocks, len(networks)), strict=True)
        )
    ]
    arguments = example if isinstance(example, tuple) else (example,)
    shapes = [chain.shapes((arguments, {})) for chain in chains]
    dims = [channel_dim or (1 if len(shape) > 3 else -1) for shape in shapes[0]]
    check_sizes(shapes, [chain.names for chain in chains], dims)
    schedule = Schedule.scaled(steps, rate, l1)
    return Branches(chains, shapes, dims, links, directions == "both", steps, schedule)
