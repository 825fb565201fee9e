"""What is asked of linked branches of one's own: the checks of networks, names and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import nn

from auxbench.errors import UsageError
from auxbench.networks.stages import grouped

Blocks = Sequence[str] | Sequence[Sequence[str]]
SHORTEST = 3  # steps; in fewer ones links would not close


def label(number: int) -> str:
    """A network in a sentence, by its place.

    >>> label(0), label(1)
    ('the primary network', 'auxiliary network 1')
    """
    return f"auxiliary network {number}" if number else "the primary network"


def names_of(blocks: Blocks, networks: int) -> list[tuple[str, ...]]:
    """The names of the blocks of every network.

    >>> names_of(["a", "b"], 2)
    [('a', 'b'), ('a', 'b')]
    """
    if isinstance(blocks, str) or not blocks:
        raise UsageError(f"blocks are {blocks!r}; give a list of names of modules.")
    if all(isinstance(name, str) for name in blocks):
        return [tuple(cast(Sequence[str], blocks))] * networks
    for names in blocks:
        if not isinstance(names, str | list | tuple):
            raise UsageError(
                f"blocks have a {type(names).__name__}; give the names of modules, such as "
                "['layer1', 'layer2']."
            )
    named = [(names,) if isinstance(names, str) else tuple(names) for names in blocks]
    if len(named) != networks:
        raise UsageError(
            f"there are {len(named)} lists of blocks for {networks} networks; give one list for "
            "all, or one for each."
        )
    counts = [len(names) for names in named]
    if 0 in counts or len(set(counts)) > 1:
        raise UsageError(
            f"the networks have {', '.join(map(str, counts))} blocks; name the same number in "
            "each, at least one."
        )
    return named


def check_apart(networks: Sequence[nn.Module]) -> None:
    """Refuse fewer than two networks, and those that have a part in common."""
    if isinstance(networks, nn.Module) or len(networks) < 2:
        raise UsageError("branches link two networks or more; give them as a list, primary first.")
    owners: dict[int, int] = {}
    for number, network in enumerate(networks):
        if not isinstance(network, nn.Module):
            raise UsageError(f"{label(number)} is a {type(network).__name__}; give a module.")
        parts: Mapping[str, object] = {
            **dict(network.named_modules()),
            **dict(network.named_parameters()),
        }
        for name, part in parts.items():
            owner = owners.setdefault(id(part), number)
            if owner != number:
                what = f"share '{name}'" if name else "are the same module"
                raise UsageError(
                    f"{label(owner)} and {label(number)} {what}; give each its own, for example by "
                    "copy.deepcopy."
                )


def check_options(
    steps: int, l1: float, rate: float | None, choices: Mapping[str, tuple[Any, tuple[Any, ...]]]
) -> None:
    """Refuse values that a search cannot work with; `choices` has values, and what they may be."""
    for name, (value, known) in choices.items():
        if value not in known:
            raise UsageError(f"{name} is {value!r}; choose one of {', '.join(map(repr, known))}.")
    if steps < SHORTEST:
        raise UsageError(f"steps is {steps}; give the number of training steps, at least 3.")
    if not l1 >= 0:
        raise UsageError(f"l1 is {l1}; give 0 or more.")
    if rate is not None and not rate > 0:
        raise UsageError(f"rate is {rate}; give a number above 0, or None.")


def check_sizes(
    shapes: Sequence[Sequence[torch.Size]], names: Sequence[Sequence[str]], dims: Sequence[int]
) -> None:
    """Refuse features that no link can carry; `dims` has the dimension of channels per block."""
    for number, others in enumerate(shapes[1:], 1):
        for block, (mine, theirs) in enumerate(zip(shapes[0], others, strict=True)):
            resized = dims[block] == 1
            if (
                len(mine) != len(theirs)
                or mine[0] != theirs[0]
                or not (resized or mine[1:-1] == theirs[1:-1])
            ):
                raise UsageError(
                    f"block '{names[0][block]}' of {label(0)} gives {list(mine)} and "
                    f"'{names[number][block]}' of {label(number)} {list(theirs)}; links need the "
                    "same batch and number of dimensions, and resize maps but no sequences."
                )


def stages_of(shapes: Sequence[Sequence[torch.Size]]) -> list[int]:
    """The lengths of rows of blocks whose features keep their size in every network.

    >>> stages_of([[torch.Size([2, 4]), torch.Size([2, 4]), torch.Size([2, 8])]])
    [2, 1]
    >>> stages_of([[torch.Size([2, 4])] * 12])
    [3, 3, 3, 3]
    """
    columns = list(zip(*shapes, strict=True))
    ends = [at for at, (one, other) in enumerate(pairwise(columns), 1) if one != other]
    if not ends:
        return [len(group) for group in grouped([nn.Identity() for _ in columns])]
    return [end - start for start, end in pairwise([0, *ends, len(columns)])]


def check_alone() -> None:
    """Refuse several processes, in each of which the search would find other strengths."""
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return
    if (size := distributed.get_world_size()) > 1:
        raise UsageError(
            f"torch.distributed joins {size} processes, and the search of links needs all data in "
            "one; train linked networks in one process."
        )
