"""The data set `multifashion`: its files, how pairs are made, and what goes wrong with files."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import numpy.typing as npt
import pytest
import torch

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
from auxbench.tasks import multifashion as module
from auxbench.training.learner import start
from auxbench.training.loop import Training

SPLITS = ("train", "validation", "test")
MultiFashion: Any = DATASETS["multifashion"]
COUNTS = {"train": 100, "validation": 20, "test": 40}
Array = npt.NDArray[Any]


def idx(array: Array) -> bytes:
    """An array of bytes as an IDX file, not compressed."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write(file: Path, content: bytes) -> None:
    with file.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as stream:
        stream.write(content)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The four files for 120 and 40 garments; each has one bright pixel that tells its number."""
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "DEBIAN", tmp_path / "debian")
    data = tmp_path / "data"
    data.mkdir()
    for part, count, first in (("train", 120, 0), ("t10k", 40, 120)):
        numbers = np.arange(first, first + count)
        images = np.full((count, 28 * 28), 100)
        images[np.arange(count), numbers] = 255
        write(data / f"{part}-images-idx3-ubyte.gz", idx(images.reshape(count, 28, 28)))
        write(data / f"{part}-labels-idx1-ubyte.gz", idx(numbers % 10))
    return data


def of(folder: Path, side: int = 36) -> Any:
    return make_dataset(
        f"multifashion:train=100:validation=20:test=40:side={side}:data={folder}", 64
    )


def everything(dataset: Any, split: str, rng: np.random.Generator | None = None) -> Batch:
    samples = dataset.samples(split)
    return samples.batch(np.arange(len(samples)), rng)


def grey(batch: Batch) -> Array:
    """The pixels as bytes, from the red channel."""
    pixels: Array = ((batch.inputs[:, 0] * 0.229 + 0.485) * 255).round().int().numpy()
    return pixels


def corners(picture: Array) -> tuple[Array, Array]:
    """Return the corners of the two garments."""
    rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
    first = np.array([rows[0], columns[0]])
    return first, np.array([rows[-1], columns[-1]]) - 27


def test_a_picture_holds_both_garments_apart_and_within_the_canvas(folder: Path) -> None:
    dataset = of(folder)
    dataset.prepare()
    for split, count in COUNTS.items():
        batch = everything(dataset, split)
        pictures = grey(batch)
        assert pictures.shape == (count, 36, 36)
        for picture in pictures:
            first, second = corners(picture)
            assert ((first >= 0) & (first <= 3)).all()
            assert ((second >= 5) & (second <= 8)).all()
            expected = np.zeros((36, 36), int)
            for row, column in (first, second):
                expected[row : row + 28, column : column + 28] = 100
            assert set(np.unique(picture)) == {0, 100, 255}
            assert np.array_equal(np.minimum(picture, 100), expected)


def test_labels_are_those_of_the_garments_and_differ(folder: Path) -> None:
    dataset = of(folder)
    for split in SPLITS:
        batch = everything(dataset, split)
        left, right = (batch.targets[name].numpy() for name in ("left", "right"))
        assert (left != right).all()
        for picture, *labels in zip(grey(batch), left, right, strict=True):
            bright = np.argwhere(picture == 255)
            readings = [
                {
                    int(r * 28 + c) % 10
                    for r, c in bright - corner
                    if 0 <= r < 28 and 0 <= c < 28 and r * 28 + c < 160
                }
                for corner in corners(picture)
            ]
            assert all(label in seen for label, seen in zip(labels, readings, strict=True))


def test_no_garment_is_in_two_splits(folder: Path) -> None:
    split = of(folder).sources
    numbers = [set(split[name].images.reshape(-1, 784).argmax(1).tolist()) for name in SPLITS]
    assert [len(part) for part in numbers] == [100, 20, 40]
    assert set.union(*numbers) == set(range(160))
    assert numbers[2] == set(range(120, 160))


def test_pairs_stay_and_training_draws_new_shifts(folder: Path) -> None:
    first, again = (everything(of(folder), "train") for _ in range(2))
    assert torch.equal(first.inputs, again.inputs)
    moved = everything(of(folder), "train", np.random.default_rng(0))
    assert all(torch.equal(first.targets[name], moved.targets[name]) for name in first.targets)
    places = [np.concatenate(corners(picture)) for picture in grey(moved)]
    assert np.ptp(places, axis=0).tolist() == [3, 3, 3, 3]
    different = [not torch.equal(a, b) for a, b in zip(first.inputs, moved.inputs, strict=True)]
    assert sum(different) > 90


def test_a_smaller_split_is_the_beginning_of_a_larger_one(folder: Path) -> None:
    few = MultiFashion(train=7, validation=1, test=1, side=36, data=str(folder))
    batch, whole = everything(few, "train"), everything(of(folder), "train")
    assert torch.equal(batch.inputs, whole.inputs[:7])


@pytest.mark.parametrize("side", [16, 36, 64])
def test_the_side(folder: Path, side: int) -> None:
    batch = everything(of(folder, side), "validation")
    assert batch.inputs.shape == (20, 3, side, side)
    assert grey(batch)[:, side // 2, side // 2].min() >= 95


def test_the_root_folder_of_torchvision_is_understood(folder: Path, tmp_path: Path) -> None:
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    raw.parent.mkdir(parents=True)
    folder.rename(raw)
    assert len(everything(of(tmp_path / "root"), "test")) == 40


def test_the_package_of_debian_is_found_and_the_cache_comes_first(
    folder: Path, tmp_path: Path
) -> None:
    folder.rename(tmp_path / "debian")
    dataset = MultiFashion(train=1, validation=1, test=1)
    assert dataset.folder() == tmp_path / "debian"
    home = tmp_path / "cache" / "fashion-mnist"
    (tmp_path / "debian").rename(home)
    assert dataset.folder() == home


def test_files_are_downloaded_once_with_their_checksums(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(url: str, target: Path, digest: str, remedy: str) -> None:
        asked.append((target.name, digest))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((folder / url.rpartition("/")[2]).read_bytes())

    monkeypatch.setattr(module, "download", fetch)
    for _ in range(2):
        MultiFashion(**COUNTS).prepare()
    assert asked == [(name, f"md5:{md5}") for name, md5 in module.FashionMNIST.resources]
    home = tmp_path / "cache" / "fashion-mnist"
    assert sorted(path.name for path in home.iterdir()) == sorted(name for name, _ in asked)


@pytest.mark.usefixtures("folder")
def test_offline_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*request: object, **options: object) -> None:
        raise URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr("urllib.request.urlopen", fail)
    with pytest.raises(UsageError) as caught:
        MultiFashion().prepare()
    home = tmp_path / "cache" / "fashion-mnist"
    message = str(caught.value)
    assert message.startswith("'http")
    assert message.endswith(
        "train-images-idx3-ubyte.gz' cannot be downloaded (Name or service not known); install "
        f"Debian's package dataset-fashion-mnist, or put the file into '{home}'."
    )
    assert list(home.iterdir()) == []


def test_a_folder_without_the_files_is_refused(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UsageError, match=r"folder '.*data' .* no 't10k-labels-idx1-ubyte\.gz'; na"):
        of(folder).prepare()


IMAGES = np.zeros((120, 28, 28), int)
WRONG = {
    "its magic number is 00000801, not 00000803": idx(np.zeros(120)),
    "its magic number is 00000d03, not 00000803": b"\0\0\x0d\3" + idx(IMAGES)[4:],
    "its magic number is missing, not 00000803": b"",
    "its header is incomplete": idx(IMAGES)[:13],
    "its items are 32 x 32, not 28 x 28": idx(np.zeros((120, 32, 32))),
    "its length is not what its header says": idx(IMAGES)[:-1],
    "it is empty": idx(IMAGES[:0]),
    "it has 120 labels for 119 pictures": idx(IMAGES[1:]),
}


@pytest.mark.parametrize("reason", WRONG)
def test_files_that_are_not_what_they_should_be(folder: Path, reason: str) -> None:
    write(folder / "train-images-idx3-ubyte.gz", WRONG[reason])
    named = "labels" if "labels" in reason else "images"
    with pytest.raises(UsageError) as caught:
        of(folder).prepare()
    message = str(caught.value)
    assert "\n" not in message
    assert f"/train-{named}-idx" in message
    assert message.endswith(f"({reason}); get the file again.")


def test_one_byte_too_many_is_noticed(folder: Path) -> None:
    write(folder / "train-images-idx3-ubyte.gz", idx(IMAGES) + b"\0")
    with pytest.raises(UsageError, match="its length is not what its header says"):
        of(folder).prepare()


@pytest.mark.parametrize(
    ("labels", "reason"),
    [(np.arange(120) % 11, "it has the class 10, and the last one is 9"), (np.ones(120), "one cl")],
)
def test_labels_out_of_range(folder: Path, labels: Array, reason: str) -> None:
    write(folder / "train-labels-idx1-ubyte.gz", idx(labels))
    with pytest.raises(UsageError, match=reason):
        of(folder).prepare()


def test_truncated_and_damaged_archives(folder: Path) -> None:
    file = folder / "t10k-images-idx3-ubyte.gz"
    sound = file.read_bytes()
    flipped = bytearray(sound)
    flipped[len(sound) // 2] ^= 1
    for content, reason in (
        (sound[: len(sound) // 2], "it is truncated or damaged"),
        (bytes(flipped), "it[^)]*"),  # where the fault shows depends on the bit
        (sound[:-8] + b"\0" * 8, "it is not a sound gzip file"),
        (gzip.decompress(sound), "it is not a sound gzip file"),
    ):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=rf"t10k-images.*\({reason}\); get the file again"):
            of(folder).prepare()


def test_more_than_there_is(folder: Path) -> None:
    with pytest.raises(UsageError, match="test '41' of 'multifashion' is more than the 40 that th"):
        MultiFashion(train=1, validation=1, test=41, data=str(folder)).prepare()


@pytest.mark.parametrize(("option", "value"), [("side", 7), ("side", 513), ("train", 0)])
def test_options_out_of_range(option: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{option} '{value}' of 'multifashion'"):
        MultiFashion(**{option: value})


def test_one_step_of_training(folder: Path) -> None:
    dataset = of(folder, side=32)
    problem, meter = Problem.of(dataset), Meter()
    assert [task.name for task in problem.tasks] == ["left", "right"]
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


def test_the_pairs_are_pinned() -> None:
    """So that a numpy whose random numbers differ cannot change the benchmark unseen."""
    rows = module._pairs(np.arange(600) % 10, "train")
    text = b"".join(rows[name].astype("<i8").tobytes() for name in ("left", "right", "shifts"))
    assert hashlib.sha256(text).hexdigest()[:16] == "daf1c42dc1b9d3a3"
