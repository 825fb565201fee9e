"""Branches that are fused inside the backbone: the basis of cross-stitch and NDDR.

Every task has a backbone. After each place, a unit computes the task's feature from the features of
all tasks, so the deployed network needs all backbones.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from auxbench import Architecture, Builder, Network
from auxbench.networks.backbone import Backbone

from ._linked.links import Level


class Trunks(nn.Module):
    """One backbone per task, fused; images [B, 3, H, W] -> {task: maps at the ends of the stages}.

    For each task, `units` holds one module per place, which computes the task's feature from the
    features of all backbones. A task with fewer units than places ends at its last unit.
    """

    def __init__(
        self,
        trunks: Mapping[str, Backbone],
        units: Mapping[str, Sequence[nn.Module]],
        places: Sequence[int],
    ) -> None:
        super().__init__()
        self.trunks = nn.ModuleDict(trunks)
        self.units = nn.ModuleDict({name: nn.ModuleList(some) for name, some in units.items()})
        self.slots = {block: slot for slot, block in enumerate(places)}

    def forward(self, images: Tensor) -> dict[str, list[Tensor]]:
        """The maps of every task that has a unit at the last place."""
        trunks = {name: trunk for name, trunk in self.trunks.items() if isinstance(trunk, Backbone)}
        state = {name: trunk.stem(images) for name, trunk in trunks.items()}
        maps: dict[str, list[Tensor]] = {name: [] for name in trunks}
        any_trunk = next(iter(trunks.values()))
        for block in range(len(any_trunk.blocks)):
            state = {name: trunk.blocks[block](state[name]) for name, trunk in trunks.items()}
            if block in self.slots:
                state = self._fused(state, self.slots[block])
            if block in any_trunk.ends:
                for name, feature in state.items():
                    maps[name].append(trunks[name].as_map(feature, len(maps[name])))
        return {name: maps[name] for name in state}

    def _fused(self, state: Mapping[str, Tensor], slot: int) -> dict[str, Tensor]:
        features, fused = list(state.values()), {}
        for name, units in self.units.items():
            assert isinstance(units, nn.ModuleList)
            if slot < len(units):
                fused[name] = units[slot](features)
        return fused


class FusedNetwork(nn.Module):
    """The network of one task with all the backbones that it needs; images -> prediction."""

    def __init__(self, trunks: Trunks, name: str, head: nn.Module) -> None:
        super().__init__()
        self.trunks = trunks
        self.name = name
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """The prediction for a batch of images [B, 3, H, W]."""
        prediction: Tensor = self.head(self.trunks(images)[self.name], tuple(images.shape[-2:]))
        return prediction


class FusedBranches(Architecture):
    """One network per task, with one unit per task at every place given by `links`.

    The places are all blocks or the ends of stages.
    """

    def __init__(self, builder: Builder, *, links: Level) -> None:
        super().__init__(builder)
        # The primary comes last, so that its blocks are the last shared layers of a forward pass.
        order = [*self.tasks[1:], self.primary]
        networks = {task.name: builder.network(task) for task in order}
        trunks = {name: network.backbone for name, network in networks.items()}
        trunk = trunks[self.primary.name]
        places = list(range(len(trunk.blocks))) if links == "block" else list(trunk.ends)
        self.places = places if len(order) > 1 else []
        units = {
            task.name: [self.unit(trunk, place, index) for place in self.places]
            for index, task in enumerate(order)
        }
        self.trunks = Trunks(trunks, units, self.places)
        self.heads = nn.ModuleDict({name: network.head for name, network in networks.items()})

    @abstractmethod
    def unit(self, trunk: Backbone, block: int, own: int) -> nn.Module:
        """Build the unit that fuses the features of all tasks for the task with index `own`."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps, size = self.trunks(images), tuple(images.shape[-2:])
        return {task.name: self.heads[task.name](maps[task.name], size) for task in self.tasks}

    def deploy(self) -> nn.Module:
        name = self.primary.name
        trunks = {key: t for key, t in self.trunks.trunks.items() if isinstance(t, Backbone)}
        if not self.places:
            return Network(trunks[name], self.heads[name])
        units = {}
        for key, some in self.trunks.units.items():
            assert isinstance(some, nn.ModuleList)
            # The units of other tasks at the last place would feed only those tasks' heads.
            units[key] = list(some) if key == name else list(some)[:-1]
        return FusedNetwork(Trunks(trunks, units, self.places), name, self.heads[name])


def shares(tasks: int, own: int, share: float) -> Tensor:
    """Return the initial weights [T] of the features: `share` for the task's own, the rest split.

    >>> shares(3, own=1, share=0.5).tolist()
    [0.25, 0.5, 0.25]
    """
    weights = torch.full((tasks,), (1 - share) / (tasks - 1))
    weights[own] = share
    return weights
