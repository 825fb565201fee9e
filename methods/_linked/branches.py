"""Single-task branches joined by links, from which Aux-G and Aux-NAS are made.

A link leads from a block of one branch to the same block, or one up to two later, of another
branch, inside one stage, where channels and resolution agree. There are links between the primary
and each auxiliary and none among auxiliaries, so the cost grows linearly with their number. What
arrives over the links of one partner is concatenated, passed through a 1x1 convolution without
bias that starts at zero, and added to the block's own output, so that the whole equals the
single-task networks at first. Links carry what the source block puts out, before its own fusion.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench import Architecture, Builder, Network
from auxbench.data.dataset import Task
from auxbench.networks.backbone import Backbone

REACH = 3  # a target takes its sources from the same block and the two before it

NormName = Literal["none", "batch", "layer"]
ActivationName = Literal["none", "relu", "gelu"]
Level = Literal["block", "stage"]
Direction = Literal["p2a", "a2p"]  # from the primary to an auxiliary, and back
Connectivity = Sequence[Tensor | None]  # per target the strength of its sources; None: closed


def link_pairs(stages: Sequence[int], level: Level) -> dict[int, list[int]]:
    """Target block -> its source blocks; with level 'stage' only the last block of every stage.

    >>> sum(len(sources) for sources in link_pairs((2, 2, 3, 3, 3), "block").values())
    24
    >>> link_pairs((2, 3), "stage")
    {1: [1], 4: [4]}
    """
    pairs: dict[int, list[int]] = {}
    first = 0
    for size in stages:
        for target in range(first, first + size):
            if level == "block":
                pairs[target] = list(range(max(first, target - REACH + 1), target + 1))
            elif target == first + size - 1:
                pairs[target] = [target]
        first += size
    return pairs


class LinkedBranches(Architecture):
    """A network per task with links from the primary to the auxiliaries and perhaps back.

    Gradients are balanced on the primary's trunk, which is what is deployed: most of an auxiliary's
    gradient lies on its own branch, and would decide about directions and lengths there. The pace
    of a task is read off the last block of its own branch, since the primary's last block gets
    gradients of the auxiliaries through fusions only, which start at zero.

    * `links`: Where the links are: at every block, or at the ends of stages.
    * `norm`: Normalisation after every block that links lead to.
    * `act`: Activation after every block that links lead to.
    """

    def __init__(
        self,
        builder: Builder,
        *,
        directions: Sequence[Direction],
        links: Level,
        norm: NormName,
        act: ActivationName,
    ) -> None:
        super().__init__(builder)
        self.directions = tuple(directions)
        self.networks = nn.ModuleDict({task.name: builder.network(task) for task in self.tasks})
        trunk = self.network(self.primary).backbone
        self.pairs = link_pairs(trunk.stages, links)
        self.fusions = nn.ModuleDict(
            {
                f"{direction}/{task.name}": nn.ModuleList(
                    [_fusion(trunk, target, len(sources)) for target, sources in self.pairs.items()]
                )
                for direction in self.directions
                for task in self.tasks[1:]
            }
        )
        receives = self.tasks if "a2p" in self.directions else self.tasks[1:]
        plain = (norm, act) == ("none", "none")
        self.after = nn.ModuleDict(
            {}
            if plain
            else {
                task.name: nn.ModuleList(_after(trunk, self.pairs, norm, act)) for task in receives
            }
        )

    @abstractmethod
    def connectivity(self, direction: Direction, task: Task) -> Connectivity:
        """How strong the links between the primary and an auxiliary are in one direction.

        For every target the strength of its sources, or None, which leaves it out of the graph.
        """

    def balanced(self) -> Iterator[Parameter]:
        primary = self.network(self.primary)
        after = self.after[self.primary.name] if self.primary.name in self.after else nn.Identity()
        return chain(primary.backbone.parameters(), after.parameters())

    def paced(self) -> list[Iterator[Parameter]]:
        return [self.network(task).backbone.parameters() for task in self.tasks]

    def network(self, task: Task) -> Network:
        """The branch of a task."""
        branch = self.networks[task.name]
        assert isinstance(branch, Network)
        return branch

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        strengths = {
            (direction, task.name): self.connectivity(direction, task)
            for direction in self.directions
            for task in self.tasks[1:]
        }
        # The primary comes last in every round: its blocks are then the last shared layers.
        order = [*self.tasks[1:], self.primary]
        trunks = {task.name: self.network(task).backbone for task in order}
        state = {name: trunk.stem(images) for name, trunk in trunks.items()}
        outputs: dict[str, list[Tensor]] = {name: [] for name in trunks}
        ends: dict[str, list[Tensor]] = {name: [] for name in trunks}
        slots = {target: slot for slot, target in enumerate(self.pairs)}
        trunk = trunks[self.primary.name]
        for block in range(len(trunk.blocks)):
            for name, branch in trunks.items():
                outputs[name].append(branch.blocks[block](state[name]))
            for task in order:
                fused = outputs[task.name][block]
                if block in slots:
                    slot = slots[block]
                    for key, partner in self._partners(task):
                        strength = strengths[key][slot]
                        if strength is not None:
                            sources = [outputs[partner][j] for j in self.pairs[block]]
                            fusion = _listed(self.fusions, "/".join(key))[slot]
                            fused = fused + fusion(_gather(sources, strength, trunk.channel_dim))
                if task.name in self.after:
                    fused = _listed(self.after, task.name)[block](fused)
                state[task.name] = fused
            if block in trunk.ends:
                for name, branch in trunks.items():
                    ends[name].append(branch.as_map(state[name], len(ends[name])))
        return {
            task.name: self.network(task).predict(ends[task.name], images) for task in self.tasks
        }

    def deploy(self) -> Network:
        primary = self.network(self.primary)
        if self.primary.name not in self.after:
            return primary
        return Network(primary.backbone, primary.head, _listed(self.after, self.primary.name))

    def _partners(self, task: Task) -> Iterator[tuple[tuple[Direction, str], str]]:
        """The links that lead to a task's branch, and the tasks that they come from."""
        if task is not self.primary:
            yield ("p2a", task.name), self.primary.name
        elif "a2p" in self.directions:
            for auxiliary in self.tasks[1:]:
                yield ("a2p", auxiliary.name), auxiliary.name


def _listed(modules: nn.ModuleDict, key: str) -> nn.ModuleList:
    found = modules[key]
    assert isinstance(found, nn.ModuleList)
    return found


class After(nn.Module):
    """Norm and activation on a feature whose channels lie on `channel_dim`."""

    def __init__(
        self, channels: int, channel_dim: int, norm: NormName, act: ActivationName
    ) -> None:
        super().__init__()
        self.channel_dim = channel_dim
        self.batch = nn.BatchNorm1d(channels, eps=1e-3, momentum=0.05) if norm == "batch" else None
        self.layer = nn.LayerNorm(channels, eps=1e-3) if norm == "layer" else None
        acts: dict[ActivationName, nn.Module] = {"relu": nn.ReLU(), "gelu": nn.GELU()}
        self.act = acts.get(act, nn.Identity())

    def forward(self, feature: Tensor) -> Tensor:
        """The feature, normalised over its channels and activated; the shape stays."""
        if self.batch is not None:
            lines = feature.movedim(self.channel_dim, 1)
            feature = self.batch(lines.flatten(2)).view_as(lines).movedim(1, self.channel_dim)
        if self.layer is not None:
            lines = feature.movedim(self.channel_dim, -1)
            feature = self.layer(lines).movedim(-1, self.channel_dim)
        result: Tensor = self.act(feature)
        return result


def _after(
    trunk: Backbone, targets: Collection[int], norm: NormName, act: ActivationName
) -> list[nn.Module]:
    """One module per block, which does something behind the targets of links."""
    return [
        After(channels, trunk.channel_dim, norm, act) if block in targets else nn.Identity()
        for block, channels in enumerate(trunk.channels)
    ]


def _fusion(trunk: Backbone, target: int, sources: int) -> nn.Module:
    channels = trunk.channels[target]
    # Initialised on 'meta', so that the zeros cost no draw from the global random state.
    fusion: nn.Conv2d | nn.Linear
    if trunk.channel_dim == 1:
        fusion = nn.Conv2d(sources * channels, channels, 1, bias=False, device="meta")
    else:
        fusion = nn.Linear(sources * channels, channels, bias=False, device="meta")
    fusion.to_empty(device="cpu")
    nn.init.zeros_(fusion.weight)
    return fusion


def _gather(sources: Sequence[Tensor], strength: Tensor, channel_dim: int) -> Tensor:
    # The strength scales the features and not the convolution: its gradient then needs none of
    # the convolution's weights, which a search step must not pay for.
    return torch.cat([c * x for c, x in zip(strength, sources, strict=True)], dim=channel_dim)
