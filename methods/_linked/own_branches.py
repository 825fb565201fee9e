"""Branches of one's own: user's modules joined by the links of Aux-NAS.

The links, their search and its schedule are those of `auxnas`; the networks are the user's modules,
which stay as they are. Where two networks have features of different sizes, a fusion also changes
the number of channels, and maps are resized. No norm or activation follows a fusion, since it would
stay on the primary network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench import Context
from auxbench.errors import Diverged, UsageError
from auxbench.networks.lockstep import Chain, lockstep, version
from auxbench.training.objective import frozen_batchnorm_stats

from ..auxnas import Schedule, Search
from .links import Level, link_pairs
from .own_fusion import OwnFusion
from .own_given import check_alone, label, stages_of
from .searched import CLOSED, SearchedBranches, logit, strongest

Losses = Tensor | Iterable[Tensor] | Mapping[str, Tensor]


class Branches(nn.Module):
    """Networks joined by searched links, as `branches` makes them.

    forward: inputs -> a list of every network's output, primary first. Every training step calls
    `search` with one batch and then trains all `parameters()` on another one, with the losses of
    all networks. In the end `primary` gives back the primary network.

    Only `search` changes the strengths of links, no optimizer of yours does. The state dict has all
    that training needs to go on. There are hooks on the networks during a pass only.
    """

    def __init__(
        self,
        chains: Sequence[Chain],
        shapes: Sequence[Sequence[torch.Size]],
        dims: Sequence[int],
        links: Level,
        both: bool,
        steps: int,
        schedule: Schedule,
    ) -> None:
        """Join these chains, whose blocks have features of `shapes` with channels in `dims`."""
        super().__init__()
        self.networks = nn.ModuleList(chain.network for chain in chains)
        self.names = [chain.names for chain in chains]
        self.pairs = link_pairs(stages_of(shapes), links)
        self.counts = [len(sources) for sources in self.pairs.values()]
        auxiliaries = range(1, len(chains))
        # The links of one key lead to the first network from the second; fused in this order.
        self.joined = {f"p2a/{number}": (number, 0) for number in auxiliaries}
        if both:
            self.joined |= {f"a2p/{number}": (0, number) for number in auxiliaries}
        self.fusions = nn.ModuleDict(
            {
                key: nn.ModuleList(
                    OwnFusion(
                        sum(shapes[source][block][dims[at]] for block in sources),
                        shapes[target][at],
                        dims[at],
                        like=_weight(self.networks[target]),
                    )
                    for at, sources in self.pairs.items()
                )
                for key, (target, source) in self.joined.items()
            }
        )
        device = _weight(self.networks).device
        start = torch.full((sum(self.counts),), logit(0.5), device=device)
        # Without gradients outside of the search, so that no optimizer changes them.
        self.logits = nn.ParameterDict(
            {key: Parameter(start.clone(), requires_grad=False) for key in self.joined}
        )
        self.steps = steps
        self.searched = 0
        self._passes = 0
        self._open: dict[str, tuple[tuple[int, int], list[bool]]] = {}
        # It reads the logits of these branches and, from the context, how far training is.
        self._search = Search(
            cast(Context, SimpleNamespace(progress=0.0)), cast(SearchedBranches, self), schedule
        )

    @property
    def incoming(self) -> list[Parameter]:
        """The logits of the links into the primary, per auxiliary."""
        return [logits for key, logits in self.logits.items() if key.startswith("a2p")]

    def forward(self, *inputs: Any, **named: Any) -> list[Any]:
        """The outputs of all networks on the same inputs, primary first.

        Errors: `UsageError` for blocks that do not run as they did on the example, and for features
        with other channels or of different batches.
        """
        self._passes += 1
        strengths = {key: self._strengths(key) for key in self.joined}
        slots = {target: slot for slot, target in enumerate(self.pairs)}
        chains = [
            Chain(network, names, label(number))
            for number, (network, names) in enumerate(zip(self.networks, self.names, strict=True))
        ]
        kept: list[list[tuple[Tensor, int]]] = [[] for _ in chains]

        def read(number: int, block: int) -> Tensor:
            return chains[number].unchanged(block, *kept[number][block])

        def meet(block: int, outputs: list[Tensor]) -> list[Tensor]:
            for own, output in zip(kept, outputs, strict=True):
                own.append((output, version(output)))
            if len({len(output) for output in outputs}) > 1:
                raise UsageError(
                    f"block '{self.names[0][block]}' and its partners have features of "
                    f"{', '.join(str(len(output)) for output in outputs)} samples; links need the "
                    "same samples in all networks."
                )
            fused = list(outputs)
            for key, (target, source) in self.joined.items() if block in slots else ():
                slot = slots[block]
                if (strength := strengths[key][slot]) is not None:
                    sources = [read(source, at) for at in self.pairs[block]]
                    fusion = cast(nn.ModuleList, self.fusions[key])[slot]
                    fused[target] = fused[target] + fusion(sources, strength, outputs[target])
            return fused

        result: list[Any] = lockstep(chains, (inputs, named), meet)
        for number, own in enumerate(kept):
            for block in range(len(own)):
                read(number, block)  # the search's backward pass does so once more
        return result

    def search(self, closure: Callable[[], Losses]) -> None:
        """Change the strengths of links by one step; to be called before every training step.

        `closure` returns the losses of all networks, as scalars, from this object's outputs on
        another batch than that of the training step: Aux-NAS gives each half of the training data.
        Losses that are weighted in training are to be weighted here, too. Neither weights, nor
        their `.grad`, nor BatchNorm's running statistics change. After `steps` calls the search is
        over, and the closure is not called any more.
        Errors: `UsageError` for losses that do not depend on the links; `Diverged` for losses that
        are not finite.
        """
        if not callable(closure):
            raise UsageError(
                f"closure is a {type(closure).__name__}; give a function that returns the losses."
            )
        if self.searched >= self.steps:
            return
        check_alone()
        passes = self._passes
        try:
            for logits in self.logits.values():
                logits.requires_grad_(True)
            with torch.enable_grad(), frozen_batchnorm_stats(self):
                total = _total(closure())
            if self._passes == passes or not total.requires_grad:
                raise UsageError(
                    "the losses of search do not depend on the links; compute them in the closure, "
                    "from the outputs of the linked networks."
                )
            if not math.isfinite(value := total.item()):
                raise Diverged(f"the losses of search became {value} at step {self.searched}.")
            self._search.context.progress = self.searched / self.steps
            self._search.descend(total, len(self.networks))
        finally:
            for logits in self.logits.values():
                logits.requires_grad_(False)
                logits.grad = None  # optimizers leave out parameters without one
        self.searched += 1

    def dropped_strength(self) -> float:
        """The strength of the strongest open link into the primary; 0 once all are closed."""
        return float(strongest(self.incoming))

    def strengths(self) -> dict[str, list[float]]:
        """The strength of every link in [0, 1], for logging.

        `p2a/1` are the links from the primary to the first auxiliary network, `a2p/1` those back,
        and so on; each list goes by target blocks, and by source blocks for each of these.
        """
        return {key: torch.sigmoid(logits).tolist() for key, logits in self.logits.items()}

    def primary(self) -> nn.Module:
        """The primary network by itself: the very module that was given, with nothing added.

        Errors: `UsageError` while a link into it is open, since it would predict otherwise than it
        was trained.
        """
        if (strength := self.dropped_strength()) > 0:
            closed = math.ceil(self._search.schedule.ramp[1] * self.steps) + 1
            raise UsageError(
                f"links into the primary network are open, the strongest at {strength:.3g}, after "
                f"{self.searched} of {self.steps} steps of search; train on, they are closed at "
                f"step {closed}."
            )
        return self.networks[0]

    def get_extra_state(self) -> dict[str, Any]:
        """The state of the search, as a part of the state dict."""
        return {"searched": self.searched, "steps": self.steps, **self._search.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` returned; errors: `UsageError` for another length."""
        if state["steps"] != self.steps:
            raise UsageError(
                f"the state is of a search over {state['steps']} steps, not {self.steps}; give "
                f"steps={state['steps']}."
            )
        self.searched = state["searched"]
        self._search.load_state_dict(deepcopy(state))

    def _apply(self, fn: Any, recurse: bool = True) -> Branches:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        # The state of its optimizer follows the logits to another device.
        self._search.load_state_dict(self._search.state_dict())
        return self

    def _strengths(self, key: str) -> list[Tensor | None]:
        """Per target of links, the strengths of its sources, or None if all of them are closed."""
        logits = self.logits[key]
        stamp = id(logits), logits._version  # asked only after a change, since a GPU is waited for
        if key not in self._open or self._open[key][0] != stamp:
            flags = iter((logits > CLOSED).tolist())
            self._open[key] = stamp, [any(list(islice(flags, n))) for n in self.counts]
        parts = torch.split(torch.sigmoid(logits), self.counts)
        opened = self._open[key][1]
        return [part if is_open else None for part, is_open in zip(parts, opened, strict=True)]


def _weight(network: nn.Module) -> Tensor:
    """A weight of a network, which says the device and the type of those that join it."""
    return next((part for part in network.parameters() if part.is_floating_point()), torch.ones(()))


def _total(losses: Losses) -> Tensor:
    """The sum of the losses that a closure returned."""
    if isinstance(losses, Tensor):
        return losses.sum()
    parts = losses.values() if isinstance(losses, Mapping) else losses
    return sum(parts, start=torch.zeros(()))
