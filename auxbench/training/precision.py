"""The precision of a network's arithmetic in training: single, or half where autocast allows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from auxbench.training.signals import Row

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
LARGEST, GROWS_AFTER = 2.0**16, 2_000  # the first and largest scale; finite steps before it grows


class Precision:
    """The arithmetic of the passes through the training network: 'fp32', 'bf16' or 'fp16'.

    Parameters, losses and gradients are always in single precision, and Gramians in double;
    evaluation and forward-mode passes are in single, too. With 'bf16' all other training passes are
    autocast.

    With 'fp16' only the passes of the descent are, whose gradients are taken of losses multiplied
    by `scale`, so that small ones do not vanish, and divided by it again. If one overflows, it is
    taken again at half the scale. Balancers thus see neither the scale nor an overflow, and no
    step is skipped.

    Source: Micikevicius, Narang, Alben and others, Mixed Precision Training, ICLR 2018,
    https://arxiv.org/abs/1710.03740
    """

    def __init__(self, name: str = "fp32", device: torch.device | str = "cpu") -> None:
        self.half = HALF.get(name)
        self.device = torch.device(device).type
        self.scaled = self.half is torch.float16
        self.scale = LARGEST if self.scaled else 1.0
        self.since = 0  # steps since the scale was changed

    def autocast(self, *, scaled: bool = False) -> AbstractContextManager[object]:
        """A context for a forward pass; `scaled` says that `gradients` differentiates it."""
        if self.half is None or (self.scaled and not scaled):
            return nullcontext()
        return torch.autocast(self.device, self.half)

    def gradients(self, make: Callable[[float], Row]) -> Row:
        """The gradients that `make` returns for losses multiplied by a scale, divided by it."""
        if not self.scaled:
            return make(1.0)
        while True:
            row = make(self.scale)
            found = [part for part in row if part is not None]
            if self.scale <= 1 or finite(found):
                for part in found:
                    part /= self.scale
                return row
            self.scale, self.since = self.scale / 2, 0

    def stepped(self) -> None:
        """Count a step; after many without an overflow the scale is doubled."""
        if self.scaled:
            self.since += 1
            if self.since >= GROWS_AFTER:
                self.scale, self.since = min(2 * self.scale, LARGEST), 0

    def state_dict(self) -> dict[str, Any]:
        """The scale, and the steps since it was changed."""
        return {"scale": self.scale, "since": self.since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.scale, self.since = float(state["scale"]), int(state["since"])


def finite(parts: Sequence[Tensor]) -> bool:
    """Return whether all numbers are finite; a GPU is waited for once."""
    return bool(torch.stack([part.isfinite().all() for part in parts]).all()) if parts else True


SINGLE = Precision()
