"""The data set `elpv`: splits, augmentation, cache, and what happens without its package."""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from auxbench.data.dataset import Batch, Samples, make_dataset
from auxbench.data.problem import Problem
from auxbench.errors import UsageError
from auxbench.spec.registry import DATASETS

SPLITS = ("train", "validation", "test")
Elpv: Any = DATASETS["elpv"]


def everything(dataset: Any, split: str, rng: np.random.Generator | None = None) -> Batch:
    samples: Samples = dataset.samples(split)
    return samples.batch(np.arange(len(samples)), rng)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the package: 160 cells whose brightness tells the cell's number."""
    builder = tmp_path / "builder"
    folder = builder / "elpv_dataset" / "data"
    (folder / "images").mkdir(parents=True)
    (builder / "elpv_dataset" / "__init__.py").touch()
    (builder / "elpv_dataset-9.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: elpv-dataset\nVersion: 9.0\n"
    (builder / "elpv_dataset-9.0.dist-info" / "METADATA").write_text(metadata)
    lines = []
    for cell in range(160):
        Image.new("L", (30, 30), cell).save(folder / "images" / f"cell{cell:04}.png")
        probability, kind = (cell % 4) / 3, ("mono", "poly")[cell % 8 // 4]
        lines.append(f"images/cell{cell:04}.png  {probability} {kind}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(builder)
    monkeypatch.delitem(sys.modules, "elpv_dataset", raising=False)
    return tmp_path


def grey(batch: Batch) -> list[int]:
    """The number of every cell, from the brightness of the red channel."""
    return ((batch.inputs[:, 0, 0, 0] * 0.229 + 0.485) * 255).round().long().tolist()


def test_every_cell_is_in_one_split_with_its_labels(package: Path) -> None:
    dataset = Elpv(side=8)
    dataset.prepare()
    seen = []
    for split, share in zip(SPLITS, (96, 24, 40), strict=True):
        batch = everything(dataset, split)
        cells = grey(batch)
        assert len(cells) == share
        assert batch.targets["defect"].tolist() == [cell % 4 for cell in cells]
        assert batch.targets["cell"].tolist() == [cell % 8 // 4 for cell in cells]
        seen += cells
    assert sorted(seen) == list(range(160))


def test_neighbours_stay_together() -> None:
    pytest.importorskip("elpv_dataset")
    for number in range(3):
        place = np.empty(2624, np.int64)
        for split, rows in enumerate(Elpv(draw=number).rows().values()):
            place[rows] = split
        # Blocks of one split may lie side by side; two of 37 are cut to give exact shares.
        assert (np.diff(place) != 0).sum() <= 36 + 2


def test_hardly_a_test_cell_has_a_twin_in_training() -> None:
    pytest.importorskip("elpv_dataset")
    dataset = Elpv(side=64)
    pixels = dataset.images.reshape(2624, -1).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    rows = dataset.rows()
    closest = (pixels[rows["test"]] @ pixels[rows["train"]].T).max(axis=1)
    assert (closest > 0.99).sum() == 14


def test_every_draw_is_another_split(package: Path) -> None:
    first, again, other = (
        grey(everything(Elpv(side=8, draw=draw), "test")) for draw in (0, None, 1)
    )
    assert first == again
    assert first != other


def test_images_come_from_the_cache_until_it_is_damaged(package: Path) -> None:
    truth = everything(Elpv(side=8), "train").inputs
    (file,) = (package / "cache").iterdir()
    assert file.suffix == ".npz"
    images = package / "builder" / "elpv_dataset" / "data" / "images"
    hidden = images.rename(images.with_name("hidden"))
    assert torch.equal(everything(Elpv(side=8), "train").inputs, truth)
    hidden.rename(images)

    sound = file.read_bytes()
    flipped = bytearray(sound)
    flipped[len(sound) // 2] ^= 1
    foreign = io.BytesIO()
    np.savez(foreign, images=np.zeros((160, 9, 9), np.uint8))
    for damaged in (
        foreign.getvalue(),
        bytes(flipped),
        sound[: len(sound) // 2],
        b"",
        b"no archive",
    ):
        file.write_bytes(damaged)
        assert torch.equal(everything(Elpv(side=8), "train").inputs, truth)
        assert list((package / "cache").iterdir()) == [file]
        assert file.read_bytes() == sound


def test_every_side_has_its_own_images(package: Path) -> None:
    for side in (8, 16, 8):
        batch = everything(Elpv(side=side), "validation")
        assert batch.inputs.shape == (24, 3, side, side)
        assert batch.inputs.dtype == torch.float32
    assert len(list((package / "cache").iterdir())) == 2


def test_a_damaged_package_is_named(package: Path) -> None:
    data = package / "builder" / "elpv_dataset" / "data"
    (data / "images" / "cell0003.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"cell0003\.png' \(not an image\); reinstall"):
        Elpv().prepare()
    assert list((package / "cache").iterdir()) == []
    (data / "labels.csv").unlink()
    with pytest.raises(UsageError, match=r"labels\.csv' \(No such file.*reinstall"):
        Elpv().prepare()


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "elpv_dataset", None)
    dataset = Elpv()  # making one is free
    with pytest.raises(UsageError) as caught:
        dataset.prepare()
    assert str(caught.value) == (
        "data set 'elpv' needs the package elpv-dataset; pip install 'auxbench[elpv]'."
    )


def test_options_out_of_range() -> None:
    with pytest.raises(UsageError, match="side '7' of 'elpv'"):
        Elpv(side=7)
    with pytest.raises(UsageError, match="option 'draw' of 'elpv' is -1"):
        make_dataset("elpv:draw=-1", 64)


def test_the_published_split() -> None:
    """Pinned, so that a numpy whose random numbers differ cannot change the benchmark unseen."""
    pytest.importorskip("elpv_dataset")
    rows = Elpv().rows()
    assert [len(rows[split]) for split in SPLITS] == [1574, 394, 656]
    text = ";".join(",".join(map(str, rows[split])) for split in SPLITS)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "b137554d0d157504"


def test_tiny_needs_no_package_and_trains_on_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "elpv_dataset", None)
    dataset = Elpv.tiny()
    dataset.prepare()
    sizes = []
    for split in SPLITS:
        batch = everything(dataset, split)
        sizes.append(len(batch))
        assert set(batch.targets["defect"].tolist()) == {0, 1, 2, 3}
        assert set(batch.targets["cell"].tolist()) == {0, 1}
    assert sum(sizes) == 16
    together = torch.cat([everything(dataset, split).inputs for split in SPLITS])
    assert len({image.numpy().tobytes() for image in together}) == 16


def test_augmentation_gives_the_symmetries_of_the_square_and_keeps_labels() -> None:
    samples = Elpv.tiny().samples("train")
    rows = np.zeros(64, np.int64)
    plain = samples.batch(rows[:1], None).inputs[0]
    turns = [torch.rot90(plain, k, (1, 2)) for k in range(4)]
    symmetries = {image.numpy().tobytes() for turn in turns for image in (turn, turn.flip(2))}
    batch = samples.batch(rows, np.random.default_rng(0))
    assert {image.numpy().tobytes() for image in batch.inputs} == symmetries
    assert len(symmetries) == 8
    assert len(set(batch.targets["defect"].tolist())) == 1
    assert torch.equal(samples.batch(rows, np.random.default_rng(0)).inputs, batch.inputs)
    assert torch.equal(samples.batch(rows[:1], None).inputs[0], plain)  # the store is untouched


def test_channels_are_one_grey_normalised_as_imagenet() -> None:
    inputs = everything(Elpv.tiny(), "train").inputs
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = inputs * std[:, None, None] + mean[:, None, None]
    torch.testing.assert_close(pixels[:, 0], pixels[:, 1])
    torch.testing.assert_close(pixels[:, 0], pixels[:, 2])
    assert 0 <= pixels.min() < 0.1 and 0.7 < pixels.max() <= 1.0001


def test_the_problem_has_the_grade_first() -> None:
    problem = Problem.of(Elpv.tiny())
    assert [(task.name, task.outputs, task.dense) for task in problem.tasks] == [
        ("defect", 4, False),
        ("cell", 2, False),
    ]
    assert [make().name for make in problem.primary.kind.metrics] == [
        "balanced-accuracy",
        "accuracy",
    ]
