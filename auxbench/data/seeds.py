"""Seeds: every random draw of a run has a name, and no two parts share one.

Random numbers are keyed by (protocol, problem, seed, purpose) and never by the method, so that all
methods get the same split, order, augmentation and initial backbone: common random numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Seeds:
    """The random streams of one problem and seed.

    >>> seeds = Seeds("rooms segmentation", seed=0)
    >>> seeds.integer("order", 3) == Seeds("rooms segmentation", seed=0).integer("order", 3)
    True
    >>> seeds.integer("order", 3) == seeds.integer("order", 4)
    False
    """

    problem: str
    seed: int
    protocol: str = "1"

    def integer(self, *purpose: str | int) -> int:
        """A number in [0, 2^63) that depends only on these keys, the same in every process."""
        text = "\x1f".join(map(str, (self.protocol, self.problem, self.seed, *purpose)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1

    def numpy(self, *purpose: str | int) -> np.random.Generator:
        """A fresh numpy generator at the start of the stream."""
        return np.random.default_rng(self.integer(*purpose))

    def torch(self, *purpose: str | int) -> torch.Generator:
        """A fresh torch generator on the CPU at the start of the stream."""
        return torch.Generator().manual_seed(self.integer(*purpose))

    @contextmanager
    def seeded(self, *purpose: str | int) -> Iterator[None]:
        """Set torch's global random state to the start of the stream; restore the CPU's afterwards.

        Initialisers and dropout draw from the global state and do not accept a generator.
        """
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(self.integer(*purpose))
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed_all(self.integer(*purpose))
        try:
            yield
        finally:
            torch.set_rng_state(before)


class RNGState:
    """A snapshot of the global random state, to repeat the draws made after it.

    A network that runs twice on the same batch must drop the same units both times.

    >>> state = RNGState()
    >>> first = torch.rand(3)
    >>> with state.replay():
    ...     torch.equal(torch.rand(3), first)
    True
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.gpu = torch.device(device) if torch.device(device).type == "cuda" else None
        self.state = torch.get_rng_state()
        self.gpu_state = None if self.gpu is None else torch.cuda.get_rng_state(self.gpu)

    @contextmanager
    def replay(self) -> Iterator[None]:
        """Repeat the draws made after the snapshot; the state is restored afterwards."""
        with torch.random.fork_rng(devices=[] if self.gpu is None else [self.gpu]):
            torch.set_rng_state(self.state)
            if self.gpu is not None and self.gpu_state is not None:
                torch.cuda.set_rng_state(self.gpu_state, self.gpu)
            yield
