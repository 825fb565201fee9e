"""Cityscapes in its two layouts: what is read, what training gets, and what is refused.

The files are written here in their true formats, by hand and not by what reads them. Every frame
is a board of 8 x 16 fields of one value each, so that an element of any size is one of a field.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from auxbench.cli.data import data as data_command
from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch
from auxbench.data.prepared.convert import prepare
from auxbench.data.prepared.layout import Finding, check
from auxbench.data.prepared.recognise import recognise
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.networks import backbone
from auxbench.networks.builder import Builder
from auxbench.spec.budget import BUDGETS
from auxbench.spec.grammar import Choice
from auxbench.spec.method import Method
from auxbench.spec.registry import DATASETS
from auxbench.tasks._layouts import cityscapes as layouts
from auxbench.tasks.cityscapes import held_out
from auxbench.training.learner import start
from auxbench.training.loop import Training

Cityscapes: Any = DATASETS["cityscapes"]
Raw = npt.NDArray[Any]

SMALL = "32x64"
FIELDS = np.arange(128).reshape(8, 16)
TRAIN = (
    ("aachen", "aachen_000000_000019"),
    ("aachen", "aachen_000001_000019"),
    ("weimar", "weimar_000003_000019"),
    ("weimar", "weimar_000141_000019"),
    ("zurich", "zurich_000002_000019"),
)
TEST = (("frankfurt", "frankfurt_000000_000294"), ("munster", "munster_000173_000019"))
LAYOUTS = ("official", "mtan", "mtan-large")
BASELINE = 0.209313

# The official table, line by line: id, trainId (-1 for 255), categoryId - 1.
TABLE = """
    0 -1 -1   1 -1 -1   2 -1 -1   3 -1 -1   4 -1 -1   5 -1 -1   6 -1 -1
    7 0 0     8 1 0     9 -1 0    10 -1 0
    11 2 1    12 3 1    13 4 1    14 -1 1   15 -1 1   16 -1 1
    17 5 2    18 -1 2   19 6 2    20 7 2
    21 8 3    22 9 3
    23 10 4
    24 11 5   25 12 5
    26 13 6   27 14 6   28 15 6   29 -1 6   30 -1 6   31 16 6   32 17 6   33 18 6
"""
ROWS = np.array(TABLE.split(), int).reshape(34, 3)
IDS = FIELDS % 34
NINETEEN, SEVEN = ROWS[IDS, 1], ROWS[IDS, 2]


def steps(frame: int) -> Raw:
    """The 16-bit numbers of a disparity file: none, 0 pixels, and 1.75 pixels and up."""
    numbers = (0.25 + FIELDS * 0.75 + frame) * 256 + 1
    numbers[FIELDS % 7 == 0], numbers[0, 1] = 0, 1
    return numbers.astype(np.uint16)


def focal(frame: int) -> float:
    return 2262.52 + 50 * frame


def colours(frame: int) -> Raw:
    return np.stack([FIELDS % 16 * 16, FIELDS // 16 * 16, 0 * FIELDS + 20 * frame], -1)


def instances() -> Raw:
    """Every person and vehicle is a single one, but the first of each are groups."""
    single = (IDS >= 24) & (FIELDS >= 34)
    return np.where(single, IDS * 1000 + FIELDS // 34, IDS)


def large(fields: Raw, size: tuple[int, int]) -> Raw:
    return fields.repeat(size[0] // 8, 0).repeat(size[1] // 16, 1)


def save(path: Path, fields: Raw, dtype: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = large(fields.astype(dtype), (1024, 2048))
    Image.fromarray(pixels).save(path, compress_level=1)


def write_official(folder: Path) -> Path:
    frames = [("train", *names) for names in TRAIN] + [("val", *names) for names in TEST]
    for number, (split, city, name) in enumerate(frames):

        def at(kind: str, end: str, where: str = f"{split}/{city}", stem: str = name) -> Path:
            return folder / kind / where / f"{stem}_{end}"

        save(at("leftImg8bit", "leftImg8bit.png"), colours(number), np.uint8)
        save(at("gtFine", "gtFine_labelIds.png"), IDS, np.uint8)
        save(at("gtFine", "gtFine_instanceIds.png"), instances(), np.uint16)
        save(at("disparity", "disparity.png"), steps(number), np.uint16)
        camera = {
            "extrinsic": {"baseline": BASELINE, "pitch": 0.03, "roll": 0.0, "x": 1.7, "z": 1.2},
            "intrinsic": {"fx": focal(number), "fy": 2265.3, "u0": 1096.9, "v0": 513.1},
        }
        path = at("camera", "camera.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(camera))
    secret = folder / "leftImg8bit" / "test" / "berlin" / "berlin_000000_000019_leftImg8bit.png"
    secret.parent.mkdir(parents=True)
    secret.write_bytes(b"")
    return folder


def write_mtan(folder: Path, size: tuple[int, int] = (128, 256), label: str = "label") -> Path:
    for split, count, first in (("train", len(TRAIN), 0), ("val", len(TEST), len(TRAIN))):
        for index in range(count):
            number = first + index
            arrays = {
                "image": (colours(number) / 255).astype(np.float32),
                label: SEVEN.astype(np.float32),
                "depth": (steps(number) / 65535).astype(np.float32)[..., None],
            }
            if label == "label_7":
                arrays["label_19"] = NINETEEN.astype(np.int64)
            for part, array in arrays.items():
                path = folder / split / part / f"{index}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, large(array, size))
    return folder


WRITERS: dict[str, Any] = {
    "official": write_official,
    "mtan": write_mtan,
    "mtan-large": lambda folder: write_mtan(folder, (256, 512), "label_7"),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cityscapes")
    return {name: write(folder / name) for name, write in WRITERS.items()}


@pytest.fixture(scope="module")
def prepared(sources: dict[str, Path]) -> dict[str, Path]:
    folders = {}
    for name, source in sources.items():
        maker: Any = recognise(source)
        folders[name] = source.with_name(f"{name}-prepared")
        prepare(maker(source, size=SMALL), folders[name])
    return folders


def dataset(name: str, folders: dict[str, Path], **options: Any) -> Any:
    layout = name.partition("-")[0]
    return Cityscapes(layout=layout, data=str(folders[name]), **options)


def whole(name: str, folders: dict[str, Path], split: str = "train", **options: Any) -> Batch:
    samples = dataset(name, folders, size=SMALL, **options).samples(split)
    batch: Batch = samples.batch(np.arange(len(samples)), None)
    return batch


def fields(maps: torch.Tensor) -> Raw:
    """Return the constant value of each field."""
    array: Raw = maps.numpy()
    assert (array == array[..., 1::4, 1::4].repeat(4, -2).repeat(4, -1)).all()
    return array[..., 1::4, 1::4]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_recognised_and_whole(sources: dict[str, Path], name: str) -> None:
    maker: Any = recognise(sources[name])
    assert (maker.dataset, maker.name) == ("cityscapes", name.partition("-")[0])
    findings = list(check(maker(sources[name], size=SMALL), every=True))
    assert [f for f in findings if f.status == "wrong"] == []
    counted = {f.subject: f.detail for f in findings if f.status == "note"}
    assert counted["train"] == "5 samples, where the published one has 2975"
    assert counted["test"] == "2 samples, where the published one has 500"


@pytest.mark.parametrize("name", LAYOUTS)
def test_pictures_keep_their_channels_and_directions(prepared: dict[str, Path], name: str) -> None:
    inputs = whole(name, prepared, "test").inputs
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = (255 * (inputs * std[:, None, None] + mean[:, None, None])).round().numpy()
    for number, picture in zip((5, 6), pixels, strict=True):
        assert (picture[:, 1::4, 1::4].transpose(1, 2, 0) == colours(number)).all()


@pytest.mark.parametrize("name", LAYOUTS)
def test_ids_become_classes(prepared: dict[str, Path], name: str) -> None:
    targets = whole(name, prepared).targets
    assert targets["segmentation7"].dtype == torch.int64
    assert (fields(targets["segmentation7"]) == SEVEN).all()
    assert ("segmentation19" in targets) == (name != "mtan")
    if name != "mtan":
        assert (fields(targets["segmentation19"]) == NINETEEN).all()


def test_some_classes_by_hand() -> None:
    for number, name19, name7 in (
        (7, "road", "flat"),
        (9, None, "flat"),  # parking
        (13, "fence", "construction"),
        (17, "pole", "object"),
        (22, "terrain", "nature"),
        (23, "sky", "sky"),
        (25, "rider", "human"),
        (26, "car", "vehicle"),
        (31, "train", "vehicle"),
        (33, "bicycle", "vehicle"),
        (3, None, None),  # out of roi
    ):
        nineteen, seven = layouts.NINETEEN[number], layouts.SEVEN[number]
        assert (layouts.NAMES19[nineteen] if nineteen >= 0 else None) == name19
        assert (layouts.NAMES7[seven] if seven >= 0 else None) == name7


def test_categories_can_be_of_evaluated_ids_alone(prepared: dict[str, Path]) -> None:
    found = fields(whole("official", prepared, categories="evaluated").targets["segmentation7"])
    assert (found == np.where(NINETEEN < 0, -1, SEVEN)).all()
    with pytest.raises(UsageError, match="needs label ids, which the layout 'mtan' lacks"):
        dataset("mtan", prepared, categories="evaluated")


@pytest.mark.parametrize("name", LAYOUTS)
def test_disparity_is_the_number_of_the_file(prepared: dict[str, Path], name: str) -> None:
    for split, first in (("train", 0), ("test", 5)):
        disparity = whole(name, prepared, split).targets["disparity"]
        assert disparity.shape[1:] == (1, 32, 64)
        for index, found in enumerate(fields(disparity[:, 0])):
            np.testing.assert_allclose(found, steps(first + index) / 65535, rtol=1e-6)


def test_depth_is_by_the_camera_of_the_frame(prepared: dict[str, Path]) -> None:
    for split, first in (("train", 0), ("test", 5)):
        depth = whole("official", prepared, split).targets["depth"]
        assert depth.shape[1:] == (1, 32, 64)
        for index, found in enumerate(fields(depth[:, 0])):
            number = first + index
            expected = BASELINE * focal(number) / (0.25 + FIELDS * 0.75 + number)
            expected[FIELDS % 7 == 0], expected[0, 1] = 0, 0
            assert (expected > 80).any() == (number < 5)
            np.testing.assert_allclose(found, np.where(expected > 80, 0, expected), rtol=1e-5)


def test_boundaries_lie_where_single_things_end(prepared: dict[str, Path]) -> None:
    numbers = large(instances(), (32, 64))
    found = whole("official", prepared).targets["boundaries"][0].numpy()
    for y in range(32):
        for x in range(64):
            own = numbers[y, x]
            unclear = own <= 3 or 24 <= own <= 33
            sure = False
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < 32 and 0 <= u < 64 and numbers[v, u] != own:
                    other = numbers[v, u]
                    if max(own, other) >= 1000:
                        known = min(own, other) > 3 and not 24 <= min(own, other) <= 33
                        sure, unclear = sure or known, unclear or not known
            assert found[y, x] == (1 if sure else -1 if unclear else 0), (y, x)
    assert {-1, 0, 1} == set(found.ravel().tolist())


def test_what_is_closer_has_less_depth_and_more_disparity(prepared: dict[str, Path]) -> None:
    samples = dataset("official", prepared, side=16).samples("train")
    chosen = np.zeros(40, np.int64)
    plain = samples.batch(chosen[:1], None).targets
    assert plain["depth"].shape == (1, 1, 16, 16)
    numbers = set((steps(0)[steps(0) > 0]).tolist())
    targets = samples.batch(chosen, np.random.default_rng(0)).targets
    seen = set()
    for disparity, depth in zip(targets["disparity"], targets["depth"], strict=True):
        known = disparity[disparity > 0].double() * 65535
        zooms = [
            zoom
            for zoom in (1, 1.2, 1.5)
            if {round(p / zoom, 2) for p in known.tolist()} <= numbers
        ]
        (zoom,) = zooms
        seen.add(zoom)
        assert (disparity[depth > 0] > 0).all()
        number = disparity[depth > 0].double() * 65535 / zoom
        expected = BASELINE * focal(0) * 256 / (number - 1) / zoom
        torch.testing.assert_close(depth[depth > 0].double(), expected, rtol=1e-4, atol=0)
    assert seen == {1, 1.2, 1.5}


def test_whole_cities_validate(prepared: dict[str, Path]) -> None:
    for name in ("official", "mtan"):
        data = dataset(name, prepared, side=32)
        assert [len(data.samples(s)) for s in ("train", "validation", "test")] == [4, 1, 2]
    held = whole("official", prepared, "validation").targets["disparity"]
    np.testing.assert_allclose(fields(held[0, 0]), steps(4) / 65535, rtol=1e-6)  # of Zürich
    assert held_out(6, [("bochum", 2), ("jena", 3), ("ulm", 1)]).tolist() == [1, 1, 0, 0, 0, 1]
    for cities in ([], [("jena", 2975)], [("ulm", 2975)]):
        every = held_out(2975, cities)
        assert every.sum() == 8 * 59
        assert np.flatnonzero(every)[:9].tolist() == [*range(42, 50), 92]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_step_of_auxnas_and_pcgrad(prepared: dict[str, Path], name: str) -> None:
    problem = Problem.of(dataset(name, prepared, side=32))
    assert [task.name for task in problem.tasks] == ["segmentation7", "disparity"]
    recipe = BUDGETS["demo"].with_changes(steps=1, batch=2, evaluations=1)
    builder = Builder(problem.tasks, lambda: backbone.build("test_resnet", 32), Seeds(name, 0, "1"))
    meter = Meter()
    learner = start(Method.parse("auxnas+pcgrad"), builder, recipe, meter)
    training = Training(learner, problem, recipe, builder, meter)
    before = {k: v.clone() for k, v in learner.architecture.state_dict().items()}
    training.run()
    after = learner.architecture.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_metrics_are_the_customary_ones() -> None:
    tasks = Cityscapes.tasks
    found = {
        name: [
            f"{metric.name} {metric.unit}".strip() for metric in (m() for m in task.kind.metrics)
        ]
        for name, task in tasks.items()
    }
    assert found == {
        "segmentation7": ["miou %", "pixel-accuracy %"],
        "segmentation19": ["miou %", "pixel-accuracy %"],
        "disparity": ["abs", "rel %"],
        "depth": ["abs m", "rel %", "rmse m", "delta1.25 %", "delta1.25^2 %", "delta1.25^3 %"],
        "boundaries": ["miou %", "balanced-accuracy %"],
    }


# ---- what is refused, each in one line


@pytest.fixture
def copies(sources: dict[str, Path], tmp_path: Path) -> Any:
    """A copy of a layout, to put a mistake into."""
    return lambda name: Path(shutil.copytree(sources[name], tmp_path / name))


def broken(folder: Path, match: str) -> None:
    """A mistake in the second frame for training is said in one line, and by a check too."""
    maker: Any = recognise(folder)
    with pytest.raises(UsageError, match=match) as caught:
        maker(folder, size=SMALL).decoded("train", 1)
    assert "\n" not in str(caught.value)


def second(folder: Path, end: str) -> Path:
    return (
        folder / end.partition("_")[0].partition(".")[0] / "train/aachen" / f"{TRAIN[1][1]}_{end}"
    )


@pytest.mark.parametrize(
    ("end", "pixels", "match"),
    [
        ("gtFine_labelIds.png", np.full((1024, 2048), 255, np.uint8), r"the id '255', .* 0..33"),
        ("gtFine_labelIds.png", np.zeros((1024, 2048, 3), np.uint8), r"'RGB', not L"),
        ("gtFine_instanceIds.png", np.zeros((1024, 2048), np.uint8), r"kind 'L', not I;16"),
        ("gtFine_instanceIds.png", np.full((1024, 2048), 34001, np.uint16), r"number '34001'"),
        ("disparity.png", np.zeros((1024, 2048), np.uint8), r"kind 'L', not I;16"),
        ("disparity.png", np.zeros((512, 1024), np.uint16), r"512 x 1024 pixels, not 1024 x 2048"),
        ("leftImg8bit.png", np.zeros((1024, 2048), np.uint8), r"kind 'L', not RGB"),
    ],
)
def test_pictures_with_mistakes(copies: Any, end: str, pixels: Any, match: str) -> None:
    folder = copies("official")
    Image.fromarray(pixels).save(second(folder, end), compress_level=1)
    broken(folder, match)


def test_pictures_that_are_cut_short_or_missing(copies: Any) -> None:
    folder = copies("official")
    path = second(folder, "disparity.png")
    path.write_bytes(path.read_bytes()[:500])
    broken(folder, r"_disparity.png' cannot be read \(.*\); get it again")
    path.unlink()
    broken(folder, r"_disparity.png' cannot be read \(No such file or directory\)")
    maker: Any = recognise(folder)
    findings = list(maker(folder, size=SMALL).findings())
    assert [f for f in findings if f.status != "ok"] == [
        Finding(
            "disparity.png",
            "wrong",
            "1 of 7 are missing, the first is aachen_000001_000019_disparity.png",
        )
    ]


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"extrinsic": {"baseline": 0.2}}']
    + [json.dumps({"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": fx}}) for fx in (0, "a")],
)
def test_cameras_with_mistakes(copies: Any, text: str) -> None:
    folder = copies("official")
    second(folder, "camera.json").write_text(text)
    broken(folder, r"_camera.json' does not say the baseline and fx of a camera; get camera again")


def test_without_cameras_there_is_no_depth(copies: Any) -> None:
    folder = copies("official")
    for part, missing in (("camera", {"depth"}), ("disparity", {"depth", "disparity"})):
        shutil.rmtree(folder / part)
        maker: Any = recognise(folder)
        made = maker(folder, size=SMALL)
        notes = [f.subject for f in made.findings() if f.status == "note"]
        assert part in notes
        out = folder.with_name(f"without-{part}")
        prepare(made, out)
        data = Cityscapes(layout="official", data=str(out), side=32)
        assert set(Cityscapes.tasks) - set(data.tasks) == missing
        assert set(data.samples("test").batch(np.arange(2), None).targets) == set(data.tasks)
        with pytest.raises(UsageError, match="task 'depth' has no files in what 'cityscapes' was"):
            Problem.of(data, "depth")


@pytest.mark.parametrize(
    ("part", "array", "match"),
    [
        ("label", np.full((128, 256), 7.0), r"hold the class '7', which is not in -1..6"),
        ("label", np.full((128, 256), -2), r"hold the class '-2', which is not in -1..6"),
        ("label", np.full((128, 256), 0.5), r"are not whole numbers"),
        ("image", np.full((128, 256, 3), 255.0), r"has values from 255 to 255, not 0 to 1"),
        ("image", np.zeros((128, 256, 3), np.uint8), r"dtype 'uint8', where a float is expected"),
        ("image", np.zeros((288, 384, 3)), r"shape '\(288, 384, 3\)', not \(128, 256, 3\) or"),
        ("depth", np.zeros((256, 512, 1)), r"shape '\(256, 512, 1\)', not \(128, 256, 1\)"),
        ("depth", np.full((128, 256, 1), 12.5), r"has values from 12.5 to 12.5, not 0 to 1"),
        ("depth", np.full((128, 256, 1), np.nan), r"has values from nan to nan, not 0 to 1"),
    ],
)
def test_arrays_with_mistakes(copies: Any, part: str, array: Any, match: str) -> None:
    folder = copies("mtan")
    np.save(folder / "train" / part / "1.npy", array)
    broken(folder, match)


def test_arrays_that_are_cut_short_or_missing(copies: Any) -> None:
    folder = copies("mtan")
    path = folder / "train" / "depth" / "1.npy"
    path.write_bytes(path.read_bytes()[:1000])
    broken(folder, r"1.npy' cannot be read \(.*\); get it again")
    path.unlink()
    broken(folder, r"1.npy' cannot be read \(No such file or directory\)")
    maker: Any = recognise(folder)
    found = {f.subject: f.detail for f in maker(folder).findings() if f.status == "wrong"}
    assert found == {"train/depth": "4 files, but 5 images"}


def test_folders_that_are_none_of_the_layouts(copies: Any) -> None:
    for name, part in (("official", "gtFine"), ("mtan", "val/depth"), ("mtan-large", "val/image")):
        folder = copies(name)
        shutil.rmtree(folder / part)
        with pytest.raises(
            UsageError, match="has no known layout; it should hold the folders left"
        ):
            recognise(folder, "cityscapes")
    folder = folder.with_name("nyuv2")
    for split in ("train", "val"):
        for part in ("image", "label", "depth", "normal"):
            (folder / split / part).mkdir(parents=True)
    assert recognise(folder).dataset == "nyuv2"


def test_an_empty_split_is_refused(copies: Any, tmp_path: Path) -> None:
    folder = copies("official")
    shutil.rmtree(folder / "leftImg8bit" / "val")
    maker: Any = recognise(folder)
    with pytest.raises(UsageError, match=r"split 'test' in .* is empty; get the folders left"):
        prepare(maker(folder), tmp_path / "out")


def test_what_a_layout_lacks_is_refused(prepared: dict[str, Path]) -> None:
    data = dataset("mtan", prepared)
    for task, match in (
        ("depth", r"choose cityscapes:layout=official, which has it, or the task 'disparity'\."),
        ("boundaries", r"not in the layout 'mtan' of 'cityscapes'; choose cityscapes:layout=off"),
        ("segmentation19", r"no files in what 'cityscapes' was prepared from; prepare it from"),
        ("dept", r"no task is called 'dept'"),
    ):
        with pytest.raises(UsageError, match=match) as caught:
            Problem.of(data, task)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="was prepared from the layout 'mtan', not 'official'"):
        Cityscapes(data=str(prepared["mtan"])).prepare()
    with pytest.raises(UsageError, match="auxbench data prepare cityscapes --source DIR --out"):
        Cityscapes(data=str(prepared["mtan"] / "none")).prepare()


def test_one_frame_is_too_few_to_validate(copies: Any, tmp_path: Path) -> None:
    folder = copies("mtan")
    for path in folder.glob("train/*/[1-4].npy"):
        path.unlink()
    maker: Any = recognise(folder)
    prepare(maker(folder, size=SMALL), tmp_path / "out")
    with pytest.raises(UsageError, match="has 1 frames, too few to validate on some"):
        Cityscapes(layout="mtan", side=32, data=str(tmp_path / "out")).prepare()


def test_pictures_are_enlarged_for_those_who_ask(prepared: dict[str, Path]) -> None:
    data = dataset("mtan", prepared, side=33)
    with pytest.raises(UsageError, match=r"at 32x64 pixels, which 33x33 would enlarge 1\.03 times"):
        data.prepare()
    with pytest.raises(UsageError, match="auxbench data prepare cityscapes:size=HxW --source DIR"):
        data.samples("test")
    samples = dataset("mtan", prepared, side=33, enlarge=True).samples("test")
    assert samples.batch(np.arange(1), None).inputs.shape[-2:] == (33, 33)


def test_it_is_not_fetched() -> None:
    result = CliRunner().invoke(data_command, ["fetch", "cityscapes"])
    said = str(result.exception)
    assert isinstance(result.exception, UsageError)
    assert "may not be fetched for you (non-commercial research and teaching only" in said
    assert "from https://www.cityscapes-dataset.com (after registration)" in said
    assert said.endswith("then auxbench data prepare cityscapes --source DIR.")


def test_options_are_checked() -> None:
    for text, match in (
        ("cityscapes:layout=mtam", "option 'layout' of 'cityscapes' is 'mtam'; did you mean"),
        ("cityscapes:size=128", "size '128' is not height x width"),
        ("cityscapes:side=4", "side '4' of 'cityscapes' is not possible"),
    ):
        with pytest.raises(UsageError, match=match):
            Cityscapes(**Choice.parse(text).values(Cityscapes))
