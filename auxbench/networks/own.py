"""Backbones of the user's own: modules that list their blocks, measured before they are used.

A registered module has its parts in two attributes: `stem`, from the inputs to the first feature,
and `blocks`, applied one after the other. What follows from these is measured on a small batch:
the stages (a stage ends where the shape of the features changes), channels and reductions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from auxbench.errors import UsageError
from auxbench.networks import pretrained as weights
from auxbench.networks.examination import alike, examination
from auxbench.networks.stages import Backbone, Layout, Size, grouped
from auxbench.spec.grammar import Choice
from auxbench.spec.source import reason

__all__ = ["own_backbone", "takes_vectors"]

LAYOUTS = ("NCHW", "NHWC", "NLC")


def takes_vectors(maker: Callable[..., nn.Module]) -> bool:
    """Return whether a backbone is for vectors: its constructor has the parameter `features`."""
    return "features" in inspect.signature(maker).parameters


def own_backbone(
    choice: Choice,
    maker: type[nn.Module],
    size: Size,
    features: int = 0,
    initial: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Backbone:
    """A new backbone of a registered class, for images of a size or vectors of some features.

    `initial` is a file with initial weights. Errors: `UsageError`, with the line in the file of the
    class, for a module that cannot be built, that has no blocks, or whose blocks are not a chain.
    """
    values = {**choice.values(maker), **(options or {})}
    about = _About(choice.name, maker)
    with about.told("cannot be built"):
        net = maker(**about.given(size, features), **values)
    if initial is not None:
        _load(net, initial, choice.name)
    stem, blocks = _parts(net, about)
    if features:
        stem, blocks = Row(stem, first=True), [Row(block) for block in blocks]
    key = (maker, size, features, repr(sorted(values.items())))
    if key not in _SEEN:
        _SEEN[key] = _examine(net, stem, blocks, size, features, about)
    seen, rest = _SEEN[key], iter(blocks)
    return Backbone(
        stem,
        [[next(rest) for _ in range(count)] for count in seen.stages],
        channels=seen.channels,
        reductions=seen.reductions,
        layout=seen.layout,
        prefix=seen.prefix,
        size=(1, 1) if features else size,
        features=features,
    )


class Row(nn.Module):
    """A module on vectors [B, C] as one on sequences of one token, [B, 1, C].

    Whatever can attach to a transformer can then attach to it. The `first` one takes vectors.
    """

    def __init__(self, inner: nn.Module, first: bool = False) -> None:
        super().__init__()
        self.inner = inner
        self.first = first

    def forward(self, rows: Tensor) -> Tensor:
        """The module's output for the only token."""
        output: Tensor = self.inner(rows if self.first else rows[:, 0])
        return output.unsqueeze(1)


@dataclass(frozen=True)
class _Seen:
    """The measures of a backbone: blocks, channels and reduction of every stage, and the layout."""

    stages: tuple[int, ...]
    channels: tuple[int, ...]
    reductions: tuple[int, ...]
    layout: Layout
    prefix: int


_SEEN: dict[tuple[Any, ...], _Seen] = {}


@dataclass(frozen=True)
class _About:
    """A backbone's name and class, for messages about it."""

    name: str
    maker: type[nn.Module]

    def given(self, size: Size, features: int) -> dict[str, Any]:
        """The arguments about the inputs that its constructor asks for."""
        asked = inspect.signature(self.maker).parameters
        return {k: v for k, v in (("size", size), ("features", features)) if k in asked}

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Turn whatever the user's code raises into one sentence with the line in its file."""
        try:
            yield
        except UsageError:
            raise
        except Exception as error:
            file = Path(inspect.getfile(self.maker))
            why = reason(error, file)[:300]
            raise UsageError(
                f"backbone '{self.name}' {what} ({why}); correct {file.name}."
            ) from error

    def demand(self, holds: bool, otherwise: str) -> None:
        """Raise `UsageError` with the sentence `otherwise` about the backbone unless `holds`."""
        if not holds:
            raise UsageError(f"backbone '{self.name}' {otherwise}")


def _parts(net: nn.Module, about: _About) -> tuple[nn.Module, list[nn.Module]]:
    """The stem and the blocks that a module lists."""
    listed = getattr(net, "blocks", None)
    about.demand(
        isinstance(listed, Sequence | nn.ModuleList | nn.Sequential) and len(listed) > 0,
        "lists no blocks; set self.blocks = nn.ModuleList([...]) in its constructor.",
    )
    blocks, stem = list(listed or ()), getattr(net, "stem", None) or nn.Identity()
    for number, block in enumerate([stem, *blocks]):
        what = f"block {number}" if number else "the stem"
        about.demand(
            isinstance(block, nn.Module),
            f"has {type(block).__name__} as {what}, which is no module; give an nn.Module.",
        )
    return stem, blocks


def _examine(
    net: nn.Module,
    stem: nn.Module,
    blocks: Sequence[nn.Module],
    size: Size,
    features: int,
    about: _About,
) -> _Seen:
    """Apply the parts to a small batch, and measure what they make of it."""
    chain = nn.ModuleList([stem, *blocks])  # also where the blocks are in a plain list
    with examination(chain) as generator:
        shape = (2, features) if features else (2, 3, *size)
        inputs = torch.randn(shape, generator=generator)
        if (first := next(chain.parameters(), None)) is not None:
            inputs = inputs.to(first.device)
        feature, found = inputs.clone(), []
        for number, part in enumerate(chain):
            what = f"block {number} of {len(blocks)}" if number else "stem"
            given = feature.clone()
            with about.told(f"fails in its {what} on {list(feature.shape)}"):
                output = part(feature)
            about.demand(
                isinstance(output, Tensor) and output.ndim in (3, 4) and len(output) == 2,
                f"gives {_kind(output)} in its {what}; give maps [B, C, h, w], tokens [B, N, C], "
                "or for vectors [B, C].",
            )
            about.demand(
                number == 0 or torch.equal(feature, given),
                f"changes what it is given in its {what}; begin the block without inplace=True.",
            )
            found.append(output)
            feature = output
        _same_as_forward(net, inputs, feature, about, bool(features))
    return _measured(net, found[1:], size, features, about)


def _same_as_forward(
    net: nn.Module, inputs: Tensor, last: Tensor, about: _About, rows: bool
) -> None:
    """Compare the last feature with what a `forward` of the module returns, if it has one."""
    if type(net).forward is nn.Module.forward:
        return
    was = net.training
    with about.told("fails in forward"):
        output = net.eval()(inputs.clone())
    net.train(was)
    output = output[-1] if isinstance(output, list | tuple) and output else output
    about.demand(
        isinstance(output, Tensor) and alike(last[:, 0] if rows else last, output),
        "returns something else from forward than its stem and blocks do one after the other; let "
        "it return what the last block returns, or leave forward out.",
    )


def _measured(
    net: nn.Module, found: Sequence[Tensor], size: Size, features: int, about: _About
) -> _Seen:
    """Divide the blocks into stages of equal shape; equal blocks throughout into up to four."""
    tokens = found[0].ndim == 3
    layout: Any = getattr(net, "layout", None) or ("NLC" if tokens else "NCHW")
    about.demand(layout in LAYOUTS, f"has the layout {layout!r}; set one of {', '.join(LAYOUTS)}.")
    about.demand(
        (layout == "NLC") == tokens and all(output.ndim == found[0].ndim for output in found),
        f"has the layout {layout}, but features of shape {list(found[-1].shape)}; correct one.",
    )
    shapes = [tuple(output.shape) for output in found]
    stages = [len(list(run)) for _, run in groupby(shapes)]
    if len(stages) == 1:
        stages = [len(group) for group in grouped([nn.Identity() for _ in found])]
    prefix = int(getattr(net, "prefix", 0))
    channels, reductions, cells, width = [], [], size[0], 1
    for end in accumulate(stages):
        shape = shapes[end - 1]
        channels.append(shape[1 if layout == "NCHW" else -1])
        if features:
            width = 1
        elif tokens:
            width = _patch(shape[1], size, prefix, about)
        else:
            before, cells = cells, shape[2 if layout == "NCHW" else 1]
            width *= max(1, round(before / cells))
        reductions.append(width)
    return _Seen(tuple(stages), tuple(channels), tuple(reductions), layout, prefix)


def _patch(tokens: int, size: Size, prefix: int, about: _About) -> int:
    """The width in pixels of the patch behind a token."""
    fitting = [
        pixels
        for pixels in range(1, max(size) + 1)
        if (size[0] // pixels) * (size[1] // pixels) == tokens - prefix
    ]
    about.demand(
        bool(fitting),
        f"makes {tokens} tokens of {size[0]} x {size[1]} pixels, which are no grid; set the class "
        "attribute prefix to the number of tokens before those of the patches.",
    )
    return min(fitting, key=lambda pixels: (any(side % pixels for side in size), pixels))


def _kind(output: object) -> str:
    return str(list(output.shape)) if isinstance(output, Tensor) else f"a {type(output).__name__}"


def _load(net: nn.Module, file: Path, name: str) -> None:
    """Give a module the weights in a file; errors: `UsageError` for those of another network."""
    tensors = weights.read(file)
    lacking = [key for key in net.state_dict() if key not in tensors]
    if lacking:
        raise UsageError(
            f"weights '{file.name}' lack {len(lacking)} tensors of backbone '{name}', such as "
            f"'{lacking[0]}'; give weights that were saved from this class."
        )
    try:
        net.load_state_dict({key: tensors[key] for key in net.state_dict()})
    except RuntimeError as error:
        why = " ".join(str(error).split())[:200]
        raise UsageError(
            f"weights '{file.name}' do not fit backbone '{name}' ({why}); give weights of it."
        ) from None
