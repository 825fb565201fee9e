"""Time loading at the size of NYU v2: plain files against the prepared form, and steps that wait.

python benchmarks/loading.py --json benchmarks/loading.json

Both give the same float32 batches of one thread: normalised picture, 13 classes, depth, normals at
288 x 384. The plain loader reads a file per sample and label, as most code of the field does.
Memory is what a whole pass adds to the process beside mapped files. Files come from the system's
cache, so that the disk is not what is measured.

Steps that take no core, as on a GPU that trains ViT-B on 1,000 pictures of 224 pixels a second, are
simulated by sleeping; what counts is the share of time that they wait for augmented batches.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from operator import truediv
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from auxbench.data.dataset import Batch, Samples
from auxbench.data.loader import Loader
from auxbench.data.prepared.convert import prepare as convert
from auxbench.data.seeds import Seeds
from auxbench.data.workers import Workers
from auxbench.spec.registry import DATASETS
from auxbench.tasks._layouts.nyuv2_mtan import Mtan

SIZE = (288, 384)
BATCH = 8
LIMIT = 5.0
SIDE, PACE, BIG, STEPS = 224, 1000, 64, 40  # of the simulated steps: pixels, pictures/s, batch
WORKERS = (0, 1, 2)
STARVED = 0.05  # limit of the share of time that a step waits
PARTS = ("image", "label", "depth", "normal")

Load = Callable[[np.ndarray[Any, Any]], object]


def write(folder: Path, count: int, dtype: str) -> None:
    """Arrays as MTAN's: smooth enough to be real pictures, random enough to be different."""
    rng = np.random.default_rng(0)
    coarse = rng.random((count, 9, 12, 8))
    for split, numbers in (("train", range(count)), ("val", range(2))):
        for part in PARTS:
            (folder / split / part).mkdir(parents=True)
        for index in numbers:
            full = coarse[index].repeat(32, 0).repeat(32, 1)
            normal = full[..., 4:7] * [2, 2, 1] - [1, 1, 1.2]
            arrays = {
                "image": full[..., :3],
                "label": np.floor(full[..., 3] * 14) - 1,
                "depth": 1 + 8 * full[..., 7:],
                "normal": normal / np.linalg.norm(normal, axis=-1, keepdims=True),
            }
            for part, array in arrays.items():
                np.save(folder / split / part / f"{index}.npy", array.astype(dtype))


class Plain:
    """A loader as most code has it: four files per sample, moved axes, stacked tensors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        self.std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    def __call__(self, indices: np.ndarray[Any, Any]) -> tuple[Tensor, ...]:
        samples = [self.sample(int(index)) for index in indices]
        return tuple(torch.stack(parts) for parts in zip(*samples, strict=True))

    def sample(self, index: int) -> tuple[Tensor, ...]:
        image, label, depth, normal = (
            np.load(self.folder / "train" / part / f"{index}.npy") for part in PARTS
        )
        picture = torch.from_numpy(np.moveaxis(image, -1, 0)).float()
        return (
            (picture - self.mean) / self.std,
            torch.from_numpy(label).long(),
            torch.from_numpy(np.moveaxis(depth, -1, 0)).float(),
            torch.from_numpy(np.moveaxis(normal, -1, 0)).float(),
        )


def prepared(folder: Path, **size: Any) -> Samples:
    """The prepared form's samples of the same three tasks."""
    data = DATASETS["nyuv2"](data=str(folder), **size)
    data.tasks = {name: data.tasks[name] for name in ("segmentation13", "depth", "normals")}
    return data.samples("train")


def difference(plain: tuple[Tensor, ...], batch: Batch) -> dict[str, float]:
    """Return the largest difference of both loaders, in their own units."""
    names = ("segmentation13", "depth", "normals")
    pairs = [(plain[0], batch.inputs)]
    pairs += [(one, batch.targets[name]) for one, name in zip(plain[1:], names, strict=True)]
    return {
        name: round(float((one.float() - other.float()).abs().max()), 5)
        for name, (one, other) in zip(("picture", *names), pairs, strict=True)
    }


def rate(load: Load, count: int, seed: int) -> float:
    """Samples per second of a whole pass in a random order."""
    order = np.random.default_rng(seed).permutation(count)
    start = time.perf_counter()
    for first in range(0, count - BATCH + 1, BATCH):
        load(order[first : first + BATCH])
    return count // BATCH * BATCH / (time.perf_counter() - start)


def pooled_rate(samples: Samples, seed: int) -> float:
    """Samples per second of augmented batches by as many workers as are tried at most."""
    order = np.random.default_rng(seed).permutation(len(samples) // BATCH * BATCH)
    places = [part for _ in range(4) for part in np.split(order, len(order) // BATCH)]
    with Workers(max(WORKERS)) as workers:
        start = time.perf_counter()
        for _ in workers.made(lambda p: samples.batch(p, np.random.default_rng(int(p[0]))), places):
            pass
        return len(places) * BATCH / (time.perf_counter() - start)


def waiting(samples: Samples, count: int) -> float:
    """The share of time that simulated steps wait for their batches, once the first are there."""
    rows = np.resize(np.arange(len(samples)), 2 * BIG)
    source = Subset(samples, rows)
    waited = 0.0
    with Workers(count) as workers:
        seeds, every = Seeds("loading", 0), np.arange(len(rows))
        loader = Loader(source, every, BIG, seeds, ("train",), None, workers)
        for _ in range(3):
            next(loader)
            time.sleep(BIG / PACE)
        begun = time.perf_counter()
        for _ in range(STEPS):
            before = time.perf_counter()
            next(loader)
            waited += time.perf_counter() - before
            time.sleep(BIG / PACE)
        return waited / (time.perf_counter() - begun)


class Subset(Samples):
    """Some of the samples, which may be repeated."""

    def __init__(self, samples: Samples, rows: np.ndarray[Any, Any]) -> None:
        self.samples = samples
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: np.ndarray[Any, Any], rng: np.random.Generator | None) -> Batch:
        return self.samples.batch(self.rows[indices], rng)


def private_megabytes() -> float:
    """Memory of this process that no file stands behind; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1000


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--count", default=64, show_default=True, help="Samples for training.")
@click.option("--rounds", default=9, show_default=True, help="Passes of each loader.")
def main(target: Path | None, count: int, rounds: int) -> None:
    """Print the samples per second of every loader, and write them as JSON."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loaders: dict[str, tuple[Load, int]] = {}
        for dtype in ("float32", "float64"):
            write(folder / dtype, count, dtype)
            loaders[f"plain {dtype}"] = (Plain(folder / dtype), count)
        convert(Mtan(folder / "float32", axes="rdf"), folder / "prepared")
        samples = prepared(folder / "prepared", size=f"{SIZE[0]}x{SIZE[1]}")
        rng = np.random.default_rng(0)
        loaders["prepared"] = (partial(samples.batch, rng=None), len(samples))
        loaders["prepared, augmented"] = (partial(samples.batch, rng=rng), len(samples))
        small = prepared(folder / "prepared", side=SIDE)
        loaders[f"augmented at {SIDE}"] = (partial(small.batch, rng=rng), len(small))
        few = np.arange(BATCH)
        apart = difference(Plain(folder / "float32")(few), samples.batch(few, None))
        rates: dict[str, list[float]] = {name: [] for name in loaders}
        for turn in range(rounds + 2):  # interleaved, so that all meet the same load
            for name, loader in loaders.items():
                rates[name].append(rate(*loader, turn))
            if turn == 1:
                before = private_megabytes()
        grown = private_megabytes() - before
        pooled = [pooled_rate(samples, turn) for turn in range(rounds)]
        shares = {count: waiting(small, count) for count in WORKERS}
        rates = {name: values[2:] for name, values in rates.items()}
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    ratios = {
        name: round(statistics.median(map(truediv, rates["prepared"], rates[name])), 2)
        for name in ("plain float32", "plain float64")
    }
    for name, value in medians.items():
        click.echo(f"{name:20} {value:8.1f} samples/s")
    for name, ratio in ratios.items():
        click.echo(f"prepared / {name}: {ratio} (limit {LIMIT})")
    together = round(statistics.median(pooled), 1)
    click.echo(f"augmented by {max(WORKERS)} workers: {together} samples/s")
    for workers, share in shares.items():
        click.echo(f"a step waits {share:.1%} of the time with {workers} workers (limit {STARVED})")
    click.echo(f"{grown:.1f} MB more memory after {rounds} passes")
    if target:
        result = {
            "samples_per_second": medians,
            "passes": {name: [round(v, 1) for v in values] for name, values in rates.items()},
            "prepared_over": ratios,
            "limit": LIMIT,
            "augmented_by_workers": {"workers": max(WORKERS), "samples_per_second": together},
            "share_of_time_that_a_step_waits": {
                "pixels": SIDE,
                "pictures_per_second": PACE,
                "batch": BIG,
                "by_workers": {workers: round(share, 4) for workers, share in shares.items()},
                "limit": STARVED,
            },
            "load": [round(load, 2) for load in os.getloadavg()],
            "largest_difference": apart,
            "memory_growth_mb": round(grown, 1),
            "size": SIZE,
            "batch": BATCH,
            "samples": count,
            "machine": {"processor": platform.machine(), "python": platform.python_version()},
        }
        target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
