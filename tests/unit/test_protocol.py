"""The samples that a part of a method reads: all, halves or held-out ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from auxbench.data.dataset import Batch, Dataset, Indices, Samples, Task
from auxbench.data.kinds import Number
from auxbench.data.loader import Loader
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.data.splits import carve, open_loaders


class Numbers(Samples):
    """Samples whose image is their index, and whose augmentation adds a draw in [0, 0.5)."""

    def __len__(self) -> int:
        return 41

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        noise = 0.0 if rng is None else rng.uniform(0, 0.5, len(indices))
        return Batch(torch.tensor(indices + noise), {})


class Line(Dataset):
    """Only what streams read."""

    licence = "none"

    @classmethod
    def tiny(cls) -> Dataset:
        return cls()

    def prepare(self) -> None: ...

    def samples(self, split: str) -> Samples:
        return Numbers()


def opened(*splits: str, seed: int = 0, size: int = 5) -> dict[str, Loader]:
    task = Task("number", Number())
    return open_loaders(Problem(Line(), task, ()), "train", splits, size, Seeds("x", seed, "1"))


def indices(stream: Loader, batches: int) -> list[int]:
    return [int(value) for _ in range(batches) for value in next(stream).inputs]


def test_an_epoch_visits_no_sample_twice_and_every_epoch_is_shuffled_anew() -> None:
    stream = opened("train")["train"]
    epochs = [indices(stream, 8) for _ in range(3)]
    assert all(len(set(epoch)) == 40 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_of_all_samples_is_that_of_the_published_numbers() -> None:
    """Without held-out data nothing may change: neither order nor augmentation."""
    stream = opened("train")["train"]
    assert next(stream).inputs.tolist() == [
        *(31.170848799684972, 20.386185208463655, 7.340280370186607),
        *(39.23056986465018, 16.020832297245548),
    ]
    assert indices(stream, 8)[-10:] == [27, 15, 24, 36, 13, 8, 26, 15, 16, 12]
    second = opened("train/second")["train/second"]
    assert indices(second, 5)[-10:] == [27, 15, 24, 36, 13, 39, 33, 37, 17, 10]


@pytest.mark.parametrize("split", ["train", "train/kept"])
def test_held_out_samples_are_left_out_of_everybodys_order(split: str) -> None:
    everybody = opened("train", size=1)["train"]
    fewer = opened(split, "holdout", size=1)[split]
    for _ in range(3):
        order = indices(everybody, 41)
        kept = indices(fewer, 37)
        assert set(kept) < set(order)
        assert kept == [sample for sample in order if sample in set(kept)]


def test_halves_without_held_out_samples_are_those_of_everybodys_order() -> None:
    order = indices(opened("train", size=1)["train"], 41)
    streams = opened("train/first", "train/second", "holdout", size=1)
    held = set(indices(streams["holdout"], 4))
    halves = indices(streams["train/first"], 18) + indices(streams["train/second"], 18)
    assert halves == [sample for sample in order if sample not in held][:36]


def test_a_control_goes_without_the_held_out_samples_and_reads_none() -> None:
    streams = opened("train/kept")
    assert list(streams) == ["train/kept"]
    expected = opened("train", "holdout")["train"]
    for _ in range(20):
        assert torch.equal(next(streams["train/kept"]).inputs, next(expected).inputs)


def test_halves_are_disjoint_in_every_epoch_and_change_from_epoch_to_epoch() -> None:
    streams = opened("train/first", "train/second")
    seen = []
    for _ in range(4):
        first, second = (set(indices(stream, 4)) for stream in streams.values())
        assert len(first) == len(second) == 20
        assert not first & second
        seen.append(first)
    assert len({frozenset(half) for half in seen}) == 4


def test_the_first_half_is_the_beginning_of_what_others_see() -> None:
    whole = opened("train")["train"]
    half = opened("train/first", "train/second")["train/first"]
    assert [v for _ in range(4) for v in next(whole).inputs] == [
        v for _ in range(4) for v in next(half).inputs
    ]


def test_held_out_samples_are_not_trained_on_and_others_train_on_all() -> None:
    streams = opened("train", "holdout", size=1)
    train, held = set(indices(streams["train"], 200)), set(indices(streams["holdout"], 50))
    assert len(held) == 4
    assert not train & held
    assert train | held == set(range(41))
    assert set(indices(opened("train", size=1)["train"], 400)) == set(range(41))


def test_what_is_held_out_depends_on_the_seed_alone() -> None:
    sets: Iterable[list[int]] = [
        carve(100, np.arange(100), Seeds("x", s, "1"))[1].tolist() for s in (0, 0, 1)
    ]
    one, same, other = sets
    assert one == same != other
    assert len(one) == 10


def test_a_stream_goes_on_from_its_state() -> None:
    whole, part, resumed = (opened("train/second")["train/second"] for _ in range(3))
    expected = [next(whole).inputs.tolist() for _ in range(11)]
    for _ in range(6):
        next(part)
    resumed.load_state_dict(part.state_dict())
    assert [next(resumed).inputs.tolist() for _ in range(5)] == expected[6:]


def test_a_batch_larger_than_the_split_is_the_split() -> None:
    stream = opened("train", size=100)["train"]
    assert sorted(indices(stream, 1)) == list(range(41))
