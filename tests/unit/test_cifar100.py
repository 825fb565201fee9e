"""The data set `cifar100`: its binary files, splits, augmentation, and what goes wrong."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch, make_dataset
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.networks import backbone
from auxbench.networks.builder import Builder
from auxbench.spec.budget import BUDGETS
from auxbench.spec.method import Method
from auxbench.spec.registry import DATASETS
from auxbench.tasks import cifar100 as module
from auxbench.training.learner import start
from auxbench.training.loop import Training

Cifar100: Any = DATASETS["cifar100"]
COUNTS = {"train": 900, "validation": 100, "test": 200}
Array = npt.NDArray[np.uint8]


def records(count: int) -> Array:
    """Make n records in the true format; the first three pixels of red hold the number."""
    rng = np.random.default_rng(count)
    numbers = np.arange(count)
    fine = rng.permutation(numbers % 100)
    pixels = rng.integers(0, 256, (count, 3, 1024))
    pixels[:, 0, :3] = np.stack([numbers // 256, numbers % 256, np.full(count, count // 10)], 1)
    labels = np.stack([fine * 7 % 100 // 5, fine], 1)
    return np.concatenate([labels, pixels.reshape(count, -1)], 1).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both files, of 1,000 and 200 pictures."""
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    records(1000).tofile(data / "train.bin")
    records(200).tofile(data / "test.bin")
    return data


def packed(folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive of those files, which is taken for the official one, and more than those."""
    file = target / "cifar-100-binary.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for name in ("train.bin", "test.bin"):
            tar.add(folder / name, f"cifar-100-binary/{name}")
        outside = tarfile.TarInfo("../outside.txt")
        outside.size = 4
        tar.addfile(outside, io.BytesIO(b"evil"))
    md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(module, "MD5", md5)
    return file


def of(folder: Path, side: int = 32) -> Any:
    return make_dataset(f"cifar100:train=900:validation=100:test=200:side={side}:data={folder}", 64)


def everything(dataset: Any, split: str, rng: np.random.Generator | None = None) -> Batch:
    samples = dataset.samples(split)
    return samples.batch(np.arange(len(samples)), rng)


def rgb(batch: Batch) -> Array:
    """The pixels as bytes, [B, 3, side, side]."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = batch.inputs * std[:, None, None] + mean[:, None, None]
    array: Array = (255 * pixels).round().byte().numpy()
    return array


def numbers(batch: Batch) -> list[int]:
    pixels = rgb(batch)[:, 0, 0, :2].astype(int)
    found: list[int] = (256 * pixels[:, 0] + pixels[:, 1]).tolist()
    return found


def test_every_picture_is_in_one_split_with_its_labels(folder: Path) -> None:
    dataset = of(folder)
    dataset.prepare()
    seen: dict[str, list[int]] = {}
    for split, count in COUNTS.items():
        batch, truth = everything(dataset, split), records(200 if split == "test" else 1000)
        seen[split] = numbers(batch)
        assert len(seen[split]) == count
        chosen = truth[seen[split]]
        assert batch.targets["coarse"].tolist() == chosen[:, 0].tolist()
        assert batch.targets["fine"].tolist() == chosen[:, 1].tolist()
        assert np.array_equal(rgb(batch), chosen[:, 2:].reshape(-1, 3, 32, 32))
        # a tenth of each fine class is for validation
        assert set(Counter(batch.targets["fine"].tolist()).values()) == {count // 100}
    assert sorted(seen["train"] + seen["validation"]) == list(range(1000))
    assert sorted(seen["test"]) == list(range(200))


def test_a_small_split_has_all_classes_and_begins_a_larger_one(folder: Path) -> None:
    few = everything(Cifar100(side=32, train=200, validation=1, test=1, data=str(folder)), "train")
    assert set(Counter(few.targets["fine"].tolist()).values()) == {2}
    assert numbers(few) == numbers(everything(of(folder), "train"))[:200]


def test_the_split_is_pinned() -> None:
    """So that a numpy whose random numbers differ cannot change the benchmark unseen."""
    rows = np.concatenate(module._carved(records(1000)[:, 1]))
    assert hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16] == "5adaa430dda18f14"


def test_augmentation_mirrors_and_shifts_and_keeps_labels(folder: Path) -> None:
    samples = of(folder).samples("train")
    rows = np.zeros(400, np.int64)
    plain = rgb(samples.batch(rows[:1], None))[0]
    batch = samples.batch(rows, np.random.default_rng(0))
    assert len(set(batch.targets["fine"].tolist())) == 1
    possible = {}
    for mirrored, picture in enumerate((plain, plain[..., ::-1])):
        padded = np.pad(picture, ((0, 0), (4, 4), (4, 4)))
        for row in range(9):
            for column in range(9):
                crop = padded[:, row : row + 32, column : column + 32]
                possible[crop.tobytes()] = (mirrored, row, column)
    drawn = [possible[picture.tobytes()] for picture in rgb(batch)]
    assert {row for _, row, _ in drawn} == {column for *_, column in drawn} == set(range(9))
    assert 150 < sum(mirrored for mirrored, *_ in drawn) < 250
    again = samples.batch(rows, np.random.default_rng(0))
    assert torch.equal(again.inputs, batch.inputs)


def test_sides_are_scaled_as_pillow_scales(folder: Path) -> None:
    plain = rgb(everything(of(folder), "test"))
    for side in (16, 64):
        found = rgb(everything(of(folder, side), "test"))
        assert found.shape == (200, 3, side, side)
        for picture, scaled in zip(plain[:5], found, strict=False):
            image = Image.fromarray(picture.transpose(1, 2, 0))
            expected = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
            assert np.abs(expected.transpose(2, 0, 1).astype(int) - scaled).max() <= 1


def test_the_archive_is_unpacked_once_and_nothing_else_of_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "archive"
    place.mkdir()
    archive = packed(folder, place, monkeypatch)
    truth = everything(of(folder), "train").inputs
    assert torch.equal(everything(of(place), "train").inputs, truth)
    archive.unlink()
    assert torch.equal(everything(of(place), "train").inputs, truth)
    assert [path.name for path in place.iterdir()] == ["cifar-100-binary"]
    assert not list(tmp_path.rglob("outside.txt"))


def test_it_is_downloaded_once_with_its_checksum(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, asked = packed(folder, tmp_path, monkeypatch), []

    def fetch(url: str, target: Path, digest: str, remedy: str) -> None:
        asked.append((url, digest))
        target.parent.mkdir(parents=True)
        target.write_bytes(archive.read_bytes())

    monkeypatch.setattr(module, "download", fetch)
    for _ in range(2):
        Cifar100(**COUNTS).prepare()
    assert asked == [(module.URL, f"md5:{module.MD5}")]


def test_offline_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*request: object, **options: object) -> None:
        raise URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", fail)
    dataset = Cifar100()  # making one is free
    with pytest.raises(UsageError) as caught:
        dataset.prepare()
    assert str(caught.value) == (
        f"'{module.URL}' cannot be downloaded (Name or service not known); "
        f"put the file into '{tmp_path / 'cifar100'}' from a machine that can."
    )
    assert list((tmp_path / "cifar100").iterdir()) == []


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no 'cifar-100-binary\.tar\.gz'; put it there from "):
        of(tmp_path).prepare()
    (tmp_path / "cifar-100-python").mkdir()
    with pytest.raises(UsageError, match="it has the version for Python, of pickles that are not"):
        of(tmp_path).prepare()


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_another_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cifar-100-binary.tar.gz").write_bytes(content)
    with pytest.raises(UsageError, match=r"\(its MD5 is not the official one\); get it again from"):
        of(tmp_path).prepare()


@pytest.mark.parametrize("damage", ["truncated", "member"])
def test_an_archive_that_cannot_be_unpacked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    place = tmp_path / "archive"
    place.mkdir()
    file = packed(folder, place, monkeypatch)
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:100_000])
    else:
        with tarfile.open(file, "w:gz") as tar:
            tar.add(folder / "train.bin", "cifar-100-binary/train.bin")
    md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(module, "MD5", md5)
    with pytest.raises(
        UsageError, match=r"cannot unpack '.*gz' \([^\n]+\); get it again from https"
    ):
        of(place).prepare()
    assert list(place.iterdir()) == [file]


def test_files_that_are_not_what_they_should_be(folder: Path) -> None:
    file, sound = folder / "train.bin", records(1000)
    beyond, mixed = sound.copy(), sound.copy()
    beyond[7, 0] = 20
    mixed[7, 0] = (mixed[7, 0] + 1) % 20
    for content, reason in (
        (sound.tobytes()[:-1], "its 3073999 bytes are not a whole number of records of 3074"),
        (b"", "its 0 bytes are not"),
        (beyond.tobytes(), "it has classes beyond 19 coarse and 99 fine ones"),
        (mixed.tobytes(), "it has fine classes that lie in two coarse ones"),
    ):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=rf"train\.bin' \({reason}[^\n]*\); get it again from"):
            of(folder).prepare()


def test_fewer_records_than_asked_for(folder: Path) -> None:
    records(1000)[:500].tofile(folder / "train.bin")
    with pytest.raises(UsageError, match="train '900' of 'cifar100' is more than the 4"):
        of(folder).prepare()


@pytest.mark.parametrize(("option", "value"), [("side", 7), ("side", 513), ("validation", 0)])
def test_options_out_of_range(option: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{option} '{value}' of 'cifar100'"):
        Cifar100(**{option: value})


def test_one_step_of_training(folder: Path) -> None:
    problem, meter = Problem.of(of(folder)), Meter()
    assert [(task.name, task.outputs) for task in problem.tasks] == [("coarse", 20), ("fine", 100)]
    names = [make().name for make in problem.primary.kind.metrics]
    assert names == ["accuracy", "top5-accuracy"]
    builder = Builder(
        problem.tasks, lambda: backbone.build("test_resnet", 32), Seeds("files", 0, "1")
    )
    recipe = BUDGETS["demo"].with_changes(steps=1, batch=4)
    learner = start(Method.parse("auxnas+pcgrad"), builder, recipe, meter)
    training = Training(learner, problem, recipe, builder, meter)
    training.run()
    parameters = learner.architecture.named_parameters()
    assert not [name for name, parameter in parameters if parameter.grad is None]
    assert training.best is not None
