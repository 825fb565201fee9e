"""Single-task branches joined by links: the basis of Aux-G and Aux-NAS.

The features that arrive over the links from one partner are concatenated, passed through a fusion
that starts at zero, and added to the block's output. The branches therefore start out equal to the
single-task networks. A link carries the output of its source block before that block's own fusion.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain

from torch import Tensor, nn
from torch.nn import Parameter

from auxbench import Architecture, Builder, Network
from auxbench.data.dataset import Task

from .fusion import ActivationName, NormName, after_blocks, fusion, gather
from .links import Connectivity, Direction, Level, link_pairs


class LinkedBranches(Architecture):
    """One network per task, with links from the primary to the auxiliaries and, optionally, back.

    Gradients are balanced only on the primary's backbone, which is deployed. Most of an auxiliary's
    gradient lies on its own branch and would otherwise dominate directions and lengths. The pace of
    a task is measured at the last block of its own branch, since auxiliary gradients reach the
    primary's last block only through fusions, which start at zero.
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
        backbone = self.network(self.primary).backbone
        self.pairs = link_pairs(backbone.stages, links)
        self.fusions = nn.ModuleDict(
            {
                f"{direction}/{task.name}": nn.ModuleList(
                    [
                        fusion(backbone, target, len(sources))
                        for target, sources in self.pairs.items()
                    ]
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
                task.name: nn.ModuleList(after_blocks(backbone, self.pairs, norm, act))
                for task in receives
            }
        )

    @abstractmethod
    def connectivity(self, direction: Direction, task: Task) -> Connectivity:
        """Return the strengths of the links between the primary and an auxiliary in one direction.

        Each target block has the strengths of its sources, or None to leave out its links.
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
        # The primary comes last in every round, so that its blocks are the last shared layers.
        order = [*self.tasks[1:], self.primary]
        branches = {task.name: self.network(task).backbone for task in order}
        state = {name: backbone.stem(images) for name, backbone in branches.items()}
        outputs: dict[str, list[Tensor]] = {name: [] for name in branches}
        ends: dict[str, list[Tensor]] = {name: [] for name in branches}
        slots = {target: slot for slot, target in enumerate(self.pairs)}
        backbone = branches[self.primary.name]
        for block in range(len(backbone.blocks)):
            for name, branch in branches.items():
                outputs[name].append(branch.blocks[block](state[name]))
            for task in order:
                fused = outputs[task.name][block]
                if block in slots:
                    slot = slots[block]
                    for key, partner in self._partners(task):
                        strength = strengths[key][slot]
                        if strength is not None:
                            sources = [outputs[partner][j] for j in self.pairs[block]]
                            fuse = _listed(self.fusions, "/".join(key))[slot]
                            fused = fused + fuse(gather(sources, strength, backbone.channel_dim))
                if task.name in self.after:
                    fused = _listed(self.after, task.name)[block](fused)
                state[task.name] = fused
            if block in backbone.ends:
                for name, branch in branches.items():
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
        """The links into a task's branch, with the tasks that they come from."""
        if task is not self.primary:
            yield ("p2a", task.name), self.primary.name
        elif "a2p" in self.directions:
            for auxiliary in self.tasks[1:]:
                yield ("a2p", auxiliary.name), auxiliary.name


def _listed(modules: nn.ModuleDict, key: str) -> nn.ModuleList:
    found = modules[key]
    assert isinstance(found, nn.ModuleList)
    return found
