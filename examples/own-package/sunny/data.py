"""Hours of sunshine from three numbers about the sky, drawn by a known rule."""

from __future__ import annotations

import numpy as np

from auxbench import Dataset, Samples
from auxbench.data.arrays import Vectors
from auxbench.data.dataset import Draw, named
from auxbench.data.kinds import Number

COUNTS = {"train": 60, "validation": 30, "test": 30}


class Data(Dataset):
    """A data set of vectors; every seed draws its own samples."""

    licence = "CC0-1.0"
    backbone = "mlp"
    features = 3
    tasks = named({"hours": Number(), "clouds": Number()})
    primary = "hours"
    auxiliaries = ("clouds",)

    def __init__(self, *, draw: Draw = None) -> None:
        self.draw = draw or 0

    @classmethod
    def tiny(cls) -> Dataset:
        return cls()

    def prepare(self) -> None:
        """Nothing to do: the data are drawn when they are read."""

    def samples(self, split: str) -> Samples:
        draws = np.random.default_rng([self.draw, list(COUNTS).index(split)])
        sky = draws.standard_normal((COUNTS[split], 3))
        clouds = np.tanh(sky[:, :1] + sky[:, 1:2])
        return Vectors(sky, {"hours": 6 - 3 * clouds + sky[:, 2:], "clouds": clouds})
