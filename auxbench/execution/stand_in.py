"""Stand-ins: the tiny variant of a data set, resized to the real image size, for plans."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from auxbench.data.dataset import Batch, Dataset, Indices, Samples, make_dataset
from auxbench.spec.run import Run


class StandIn(Dataset):
    """The tiny variant of a run's data set, resized to the real size unless `tiny` is set."""

    licence = "synthetic"

    def __init__(self, run: Run, tiny: bool = False) -> None:
        real = make_dataset(run.located, run.recipe.side)
        self.inner = real.small()
        if tiny:
            real = self.inner
        self.size = real.size
        self.features = real.features
        self.tasks = self.inner.tasks
        self.primary = self.inner.primary
        self.auxiliaries = self.inner.auxiliaries
        self.count = 64 * run.recipe.batch  # enough to hold some samples out

    @classmethod
    def tiny(cls) -> Dataset:
        raise NotImplementedError("a stand-in has no variant of its own")

    def prepare(self) -> None:
        self.inner.prepare()

    def samples(self, split: str) -> Samples:
        self.inner.prepare()
        return _Repeated(self.inner.samples(split), self.count, self.size, self.features)


class _Repeated(Samples):
    def __init__(self, inner: Samples, count: int, size: tuple[int, int], features: int) -> None:
        self.inner = inner
        self.count = count
        self.size = size
        self.features = features

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        batch = self.inner.batch(indices % len(self.inner), rng)
        if self.features:
            columns = torch.arange(self.features) % batch.inputs.shape[1]
            return Batch(batch.inputs[:, columns], batch.targets)
        shape = batch.inputs.shape[-2:]
        targets = {
            name: _stretch(target, self.size) if target.shape[-2:] == shape else target
            for name, target in batch.targets.items()
        }
        return Batch(_stretch(batch.inputs, self.size), targets)


def _stretch(image: Tensor, size: tuple[int, int]) -> Tensor:
    flat = image.reshape(len(image), -1, *image.shape[-2:]).to(torch.float32)
    return interpolate(flat, size).reshape(*image.shape[:-2], *size).to(image.dtype)
