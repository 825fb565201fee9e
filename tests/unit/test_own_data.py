"""A user's own data without an official split: a seed draws the split, or an option keeps one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import auxbench
from auxbench.records.store import Store

ORCHARD = '''"""Weights of apples, from a table of a user's own.

Licence: CC0-1.0. There is no official split: every seed draws its own.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from auxbench import DATASETS, Dataset, Samples
from auxbench.data.arrays import Vectors
from auxbench.data.dataset import Draw, Task, named
from auxbench.data.kinds import Number

SPLITS = {"test": slice(0, 20), "validation": slice(20, 40), "train": slice(40, None)}


@DATASETS.register
class Orchard(Dataset):
    """Sixty apples: colour and size give weight and sugar."""

    licence = "CC0-1.0"
    backbone = "mlp"
    features = 2
    tasks: Mapping[str, Task] = named({"weight": Number(), "sugar": Number()})
    primary, auxiliaries = "weight", ("sugar",)

    def __init__(self, *, draw: Draw = None) -> None:
        self.order = np.random.default_rng(draw or 0).permutation(60)

    @classmethod
    def tiny(cls) -> Dataset:
        return cls()

    def prepare(self) -> None:
        """Nothing to do."""

    def samples(self, split: str) -> Samples:
        rows = np.loadtxt(Path(__file__).with_name("apples.csv"), delimiter=",")
        rows = rows[self.order][SPLITS[split]]
        return Vectors(rows[:, :2], {"weight": rows[:, [2]], "sugar": rows[:, [3]]})
'''
Command = Callable[..., str]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Run the command line where the user's package is installed."""
    folder = tmp_path_factory.mktemp("user")
    package, info = folder / "orchards", folder / "orchards-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "orchard.py").write_text(ORCHARD, encoding="utf-8")
    np.savetxt(package / "apples.csv", np.random.default_rng(0).random((60, 4)), delimiter=",")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: orchards\nVersion: 1.0\n")
    points = "[auxbench.tasks]\norchard = orchards.orchard:Orchard\n"
    (info / "entry_points.txt").write_text(points)
    (info / "RECORD").write_text("")
    root = Path(auxbench.__file__).parents[1]
    paths = os.pathsep.join(map(str, (root, folder)))
    surroundings = {**os.environ, "PYTHONPATH": paths, "AUXBENCH_CACHE": str(folder / "cache")}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "auxbench", *words],
            cwd=folder,
            env=surroundings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.folder = folder  # type: ignore[attr-defined]
    return run


def test_a_seed_draws_the_split_and_reports_say_so(command: Command) -> None:
    datasets = "orchard,orchard:draw=7"
    words = ("--methods", "single,hps", "--dataset", datasets, "--steps", "2", "--seeds", "3")
    assert "12 done" in command("run", *words, "--results", "here")
    folder: Path = command.folder  # type: ignore[attr-defined]
    records = Store(folder / "here").runs()
    drawn = {
        (r["run"]["dataset"], r["run"]["seed"]): r["provenance"]["draw"]
        for r in records
        if r["run"]["method"] == "hps"
    }
    assert drawn == {
        **{("orchard", seed): seed for seed in range(3)},
        **{("orchard:draw=7", seed): 7 for seed in range(3)},
    }
    compare = ("compare", "--explain", "--control", "single", "--results", "here", "--dataset")
    both, kept = (" ".join(command(*compare, name).split()) for name in datasets.split(","))
    assert "over draws of the data" in both
    assert "except for orchard:draw=7 weight with sugar: on its data." in both
    assert "on these data, over the randomness of training." in kept
