"""NYU Depth v2 in its four layouts: what is read, what training gets, and what is refused."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from auxbench import run
from auxbench.cost.training import Meter
from auxbench.data.prepared.convert import prepare
from auxbench.data.prepared.form import DEPTH, NORMAL
from auxbench.data.prepared.layout import check
from auxbench.data.prepared.recognise import recognise
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.execution.plan import rehearse
from auxbench.execution.study import Study
from auxbench.networks import backbone
from auxbench.networks.builder import Builder
from auxbench.spec.budget import BUDGETS
from auxbench.spec.grammar import Choice
from auxbench.spec.method import Method
from auxbench.spec.registry import DATASETS
from auxbench.training.learner import start
from auxbench.training.loop import Training
from tests.unit import _nyuv2 as files

pytest.importorskip("h5py")

SMALL = "36x48"
WRITERS = {
    "official": files.write_official,
    "mtan": files.write_mtan,
    "nddr": files.write_nddr,
    "adashare": files.write_adashare,
}


@pytest.fixture(scope="module", params=sorted(WRITERS))
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def source(layout: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WRITERS[layout](tmp_path_factory.mktemp(layout) / "source")


@pytest.fixture(scope="module")
def prepared(source: Path, layout: str) -> Path:
    maker = recognise(source)
    assert (maker.dataset, maker.name) == ("nyuv2", layout)
    prepare(maker(source, size=SMALL), source.parent / "prepared")
    return source.parent / "prepared"


def dataset(layout: str, folder: Path, **options: Any) -> Any:
    return DATASETS["nyuv2"](layout=layout, data=str(folder), **options)


def whole(layout: str, folder: Path, split: str = "train") -> Any:
    samples = dataset(layout, folder, size=SMALL).samples(split)
    return samples.batch(np.arange(len(samples)), None)


def at(name: str) -> tuple[int, int]:
    """A pixel in the middle of a region, at the prepared size, whatever was cut away."""
    return {"left": (18, 6), "ahead": (18, 24), "right": (18, 42), "floor": (30, 24)}[name]


VOID = (2, 24)


def test_every_layout_is_whole(source: Path, layout: str) -> None:
    findings = list(check(recognise(source)(source, size=SMALL), every=True))
    assert [f for f in findings if f.status == "wrong"] == []
    assert any(f.subject == "train decoded" for f in findings)
    assert {f.detail for f in findings if f.subject == "test"} == {
        "2 samples, where the published one has 654"
    }


def test_pictures_keep_their_channels_and_directions(prepared: Path, layout: str) -> None:
    images = whole(layout, prepared, "test").inputs
    spread = images * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    red, green, blue = (spread + torch.tensor([0.485, 0.456, 0.406])[:, None, None]).unbind(1)
    assert (red.diff(dim=2) > 0).all()
    assert (green.diff(dim=1) > 0).all()
    assert blue[0].max() < 0.001
    assert blue[1].mean() == pytest.approx(20 / 255, abs=0.001)  # frame 1, not 2


def test_classes_are_counted_from_zero(prepared: Path, layout: str) -> None:
    targets = whole(layout, prepared).targets
    expected = {
        "segmentation40": {"left": 4, "ahead": 0, "right": 0, "floor": 1},
        "segmentation13": {"left": 3, "ahead": 11, "right": 11, "floor": 4},
    }
    assert "segmentation13" in targets
    for task in targets.keys() & expected.keys():
        assert targets[task].dtype == torch.int64
        for name, number in expected[task].items():
            assert (targets[task][(slice(None), *at(name))] == number).all(), (task, name)
        assert (targets[task][(slice(None), *VOID)] == -1).all()


def test_depth_is_in_metres(prepared: Path, layout: str) -> None:
    targets = whole(layout, prepared).targets
    if layout == "nddr":
        assert "depth" not in targets
        return
    depth = targets["depth"]
    assert depth.shape == (5, 1, 36, 48)
    assert (depth[(slice(None), 0, *VOID)] == 0).all()
    middle = depth[:, 0, 18, 24]
    # frames 2 to 6, counted from 0; frame 7 validates
    assert middle.tolist() == pytest.approx([3.0, 3.25, 3.5, 3.75, 4.0], abs=0.02)
    assert (depth[:, 0, 18].diff(dim=1) > 0).all()


def test_normals_have_x_right_y_down_z_forward(prepared: Path, layout: str) -> None:
    targets = whole(layout, prepared).targets
    if layout == "official":
        assert "normals" not in targets
        return
    for name, vector in {**files.SIDES, "floor": files.UP}.items():
        found = targets["normals"][(0, slice(None), *at(name))]
        if layout in ("nddr", "adashare") and at(name)[0] == 18:
            continue  # the row in the middle is undefined there, see below
        assert found.tolist() == pytest.approx(vector, abs=0.01), name
    assert (targets["normals"][(0, slice(None), *VOID)] == 0).all()


@pytest.mark.parametrize("name", ["nddr", "adashare"])
def test_normals_in_eight_bits_are_decoded(tmp_path: Path, name: str) -> None:
    made = recognise(WRITERS[name](tmp_path / "x"))(tmp_path / "x", size="480x640", crop=False)
    normals = made.read("train", 0)["normals"] / NORMAL
    assert normals[:, 200, 30].tolist() == pytest.approx(files.SIDES["left"], abs=0.01)
    assert normals[:, 200, 600].tolist() == pytest.approx(files.SIDES["right"], abs=0.01)
    assert not normals[:, 240].any()  # (127, 127, 127), inside of the mask
    assert not normals[:, :100].any()  # (255, 255, 255)


def test_eigens_normals_beside_the_official_file_are_a_task(tmp_path: Path) -> None:
    source = files.write_official(tmp_path / "x", with_normals=True)
    prepare(recognise(source)(source, size=SMALL), tmp_path / "prepared")
    targets = whole("official", tmp_path / "prepared").targets
    assert set(targets) == set(DATASETS["nyuv2"].tasks) - {"keypoints"}
    for name, vector in {**files.SIDES, "floor": files.UP}.items():
        found = targets["normals"][(0, slice(None), *at(name))]
        assert found.tolist() == pytest.approx(vector, abs=0.01), name
    assert (targets["normals"][(0, slice(None), *VOID)] == 0).all()
    scenes = {
        tuple(whole("official", tmp_path / "prepared", s).targets["scene"].tolist())
        for s in ("train", "test")
    }
    assert scenes == {
        (16, 19, 16, 19, 16),
        (16, 19),
    }  # kitchen and office, in the order of the alphabet


@pytest.mark.parametrize(
    ("order", "letters"),
    [((0, 1, 2), "rdf"), ((0, 2, -1), "rfu"), ((2, 1, 0), "fdr"), ((0, -1, -2), "rub")],
)
def test_the_axes_of_arrays_are_measured(
    tmp_path: Path, order: tuple[int, int, int], letters: str
) -> None:
    source = files.write_mtan(tmp_path / "x", order)
    made: Any = recognise(source)(source, size=SMALL)
    assert made.order == letters
    found = made.read("train", 0)["normals"][(slice(None), *at("right"))] / NORMAL
    assert found.tolist() == pytest.approx(files.SIDES["right"], abs=0.01)


def test_axes_that_cannot_be_told_must_be_said(tmp_path: Path) -> None:
    source = files.write_mtan(tmp_path / "x")
    for path in source.glob("*/normal/*.npy"):
        np.save(path, np.zeros((288, 384, 3), np.float32))
    maker: Any = recognise(source)
    made = maker(source)
    with pytest.raises(UsageError, match="axes cannot be told; say where they point"):
        made.read("train", 0)
    told = maker(source, axes="rdf")
    assert told.order == "rdf"
    with pytest.raises(UsageError, match="axes 'rrf' is not an axis order"):
        maker(source, axes="rrf")


def test_the_border_is_cut_and_the_rest_is_not_squeezed(tmp_path: Path) -> None:
    source = files.write_adashare(tmp_path / "x")
    maker: Any = recognise(source)
    cut = maker(source, size="420x560").read("train", 0)
    kept = maker(source, size="480x640", crop=False).read("train", 0)
    for name, array in cut.items():
        if name not in ("edges", "keypoints"):  # which see beyond the cut
            assert (array == kept[name][..., 48:468, 41:601]).all(), name
    assert (kept["image"] == files.picture(2).transpose(2, 0, 1)).all()
    assert kept["depth"][300, 600] == round((2.5 + 600 / 640) * DEPTH)


def test_validation_is_carved_from_training(prepared: Path, layout: str) -> None:
    data = dataset(layout, prepared, side=32)
    assert [len(data.samples(s)) for s in ("train", "validation", "test")] == [5, 1, 2]
    held = data.rows("validation", 795)
    assert len(held) == 8 * 15 + 3
    assert held[:9].tolist() == [*range(42, 50), 92]
    assert sorted({*held, *data.rows("train", 795)}) == list(range(795))


@pytest.mark.parametrize("augment", ["mtan", "auxnas", "none"])
def test_training_crops_squares(prepared: Path, layout: str, augment: str) -> None:
    samples = dataset(layout, prepared, side=32, augment=augment).samples("train")
    batch = samples.batch(np.array([0, 1, 2]), np.random.default_rng(0))
    assert batch.inputs.shape == (3, 3, 32, 32)
    for name, target in batch.targets.items():
        assert name == "scene" or target.shape[-2:] == (32, 32)


def test_a_task_of_another_layout_is_refused(prepared: Path, layout: str) -> None:
    data = dataset(layout, prepared, side=32)
    lacking = {"official": "normals", "mtan": "segmentation40", "nddr": "depth"}
    message = {
        "official": r"choose nyuv2:layout=mtan or adashare or nddr, which has it",
        "mtan": r"task 'segmentation40' is not in the layout 'mtan' of 'nyuv2'",
        "nddr": r"choose nyuv2:layout=official or mtan or adashare, which has it",
        "adashare": r"choose nyuv2:layout=official, which has it",
    }
    with pytest.raises(UsageError, match=message[layout]):
        Problem.of(data, lacking.get(layout, "scene"))
    with pytest.raises(UsageError, match="no task is called 'dept'"):
        Problem.of(data, "dept")


def test_a_step_of_auxnas_and_pcgrad(prepared: Path, layout: str) -> None:
    data = dataset(layout, prepared, side=32)
    problem = Problem.of(data)
    recipe = BUDGETS["demo"].with_changes(steps=1, batch=2, evaluations=1)
    builder = Builder(
        problem.tasks, lambda: backbone.build("test_resnet", 32), Seeds("nyuv2", 0, "1")
    )
    meter = Meter()
    learner = start(Method.parse("auxnas+pcgrad"), builder, recipe, meter)
    training = Training(learner, problem, recipe, builder, meter)
    before = {k: v.clone() for k, v in learner.architecture.state_dict().items()}
    training.run()
    after = learner.architecture.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)


@pytest.mark.slow
def test_a_whole_run_on_pictures_that_are_not_square(prepared: Path, layout: str) -> None:
    words: dict[str, Any] = {"backbone": "test_vit", "head": "dpt:width=16", "seeds": 1}
    words |= {"budget": "demo", "steps": 2, "batch": 2}
    text = f"nyuv2:layout={layout}:size=32x48:data={prepared}"
    [planned] = Study.of("auxnas+pcgrad", text, **words).runs
    assert rehearse(planned)["seconds"] > 0
    folder = prepared.parent / "results"
    frame = run("auxnas+pcgrad", text, results=folder, device="cpu", quiet=True, **words)
    assert frame["status"].tolist() == ["done"]
    assert frame["same_as_single"].tolist() == [True]


# ---- what is refused, each in one line


def broken(layout: str, folder: Path, match: str) -> None:
    """A copy of a layout with a mistake in it must be refused in one line."""
    maker: Any = recognise(folder)
    assert maker.name == layout
    with pytest.raises(UsageError, match=match) as caught:
        made = maker(folder, size=SMALL)
        for split, count in made.counts().items():
            for index in range(count):
                made.decoded(split, index)
        prepare(made, folder.parent / "prepared")
    assert "\n" not in str(caught.value)


def test_a_truncated_mat_file(tmp_path: Path) -> None:
    source = files.write_official(tmp_path / "x")
    path = source / "nyu_depth_v2_labeled.mat"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    broken("official", source, r"nyu_depth_v2_labeled.mat' cannot be read \(.*; get it again")


def test_a_mat_file_with_the_axes_the_other_way(tmp_path: Path) -> None:
    upright = np.zeros((8, 480, 640), np.float32)
    source = files.write_official(tmp_path / "x", depths=upright)
    broken("official", source, r"'depths' in file .* has shape '\(8, 480, 640\)', not \(1449, 640")


def test_a_mat_file_with_a_label_that_does_not_exist(tmp_path: Path) -> None:
    wrong = np.full((8, 640, 480), 895, np.uint16)
    source = files.write_official(tmp_path / "x", labels=wrong)
    broken("official", source, r"label '895' of layout 'official' is not in 0..894")


def test_a_mat_file_with_pictures_of_another_type(tmp_path: Path) -> None:
    source = files.write_official(tmp_path / "x", images=np.zeros((8, 3, 640, 480), np.uint16))
    broken("official", source, "dtype 'uint16', not uint8")


def test_splits_that_are_missing_out_of_range_or_empty(tmp_path: Path) -> None:
    source = files.write_official(tmp_path / "x")
    files.write_splits(source, train=(1449,))
    broken("official", source, r"names a frame outside 1..1449 for 'train'")
    files.write_splits(source, test=())
    broken("official", source, r"split 'test' in .* is empty; get nyu_depth_v2_labeled.mat")
    (source / "splits.mat").write_bytes(b"nothing of the kind")
    broken("official", source, r"splits.mat' cannot be read")
    (source / "splits.mat").unlink()
    broken("official", source, r"splits.mat' is missing; get splits.mat from https://")


def test_a_mat_file_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = files.write_official(tmp_path / "x")
    monkeypatch.setitem(sys.modules, "h5py", None)
    broken("official", source, r"needs the package h5py; pip install 'auxbench\[nyuv2\]'")
    DATASETS["nyuv2"].tiny().prepare()


@pytest.mark.parametrize(
    ("part", "array", "match"),
    [
        ("label", np.full((288, 384), 13.0), r"hold the class '13', which is not in -1..12"),
        ("label", np.full((288, 384), 0.5), r"are not whole numbers"),
        ("image", np.full((288, 384, 3), 255.0), r"has values from 255 to 255, not 0 to 1"),
        ("image", np.zeros((288, 384, 3), np.uint8), r"dtype 'uint8', where a float is expected"),
        ("depth", np.zeros((384, 288), np.float32), r"shape '\(384, 288\)', not \(288, 384, 1\)"),
        ("depth", np.full((288, 384), 99.0), r"a depth of 99 m is out of range"),
        ("normal", np.zeros((288, 384, 3), "U1"), r"dtype '<U1', where a float is expected"),
    ],
)
def test_arrays_with_mistakes(tmp_path: Path, part: str, array: Any, match: str) -> None:
    source = files.write_mtan(tmp_path / "x")
    np.save(source / "train" / part / "1.npy", array)
    broken("mtan", source, match)


def test_an_array_that_is_cut_short_or_missing(tmp_path: Path) -> None:
    source = files.write_mtan(tmp_path / "x")
    path = source / "val" / "depth" / "1.npy"
    path.write_bytes(path.read_bytes()[:1000])
    broken("mtan", source, r"1.npy' cannot be read \(.*\); get it again")
    path.unlink()
    broken("mtan", source, r"1.npy' cannot be read \(No such file or directory\)")
    findings = list(check(recognise(source)(source, size=SMALL)))
    assert [f.detail for f in findings if f.subject == "val/depth"] == ["1 files, but 2 images"]


@pytest.mark.parametrize(
    ("part", "pixels", "match"),
    [
        ("seg", np.full((480, 640), 40, np.uint8), r"holds the class '40', which is neither 0..39"),
        ("seg", np.zeros((480, 640, 3), np.uint8), r"has pixels of kind 'RGB', not L"),
        ("img", np.zeros((240, 320, 3), np.uint8), r"is 240 x 320 pixels, not 480 x 640"),
        ("normal_mask", np.zeros((480, 640), np.uint16), r"has pixels of kind 'I;16', not RGB"),
    ],
)
def test_pictures_with_mistakes(tmp_path: Path, part: str, pixels: Any, match: str) -> None:
    source = files.write_nddr(tmp_path / "x")
    Image.fromarray(pixels).save(source / part / "0003.png")
    broken("nddr", source, match)


def test_pictures_without_lists_need_the_official_splits(tmp_path: Path) -> None:
    source = files.write_nddr(tmp_path / "x", lists=False)
    broken("nddr", source, r"does not say which frames are for training; put splits.mat")
    files.write_splits(source)
    assert recognise(source)(source).counts() == {"train": 6, "test": 2}


def test_data_that_are_not_prepared_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="auxbench data prepare nyuv2 --source DIR --out"):
        dataset("mtan", tmp_path / "none").prepare()


def test_a_folder_of_another_layout_is_not_taken(prepared: Path, layout: str) -> None:
    other = "mtan" if layout != "mtan" else "nddr"
    with pytest.raises(UsageError, match=f"was prepared from the layout '{layout}', not '{other}'"):
        dataset(other, prepared).prepare()


def test_options_are_checked() -> None:
    maker = DATASETS["nyuv2"]
    for text, match in (
        ("nyuv2:layout=mtam", "option 'layout' of 'nyuv2' is 'mtam'; did you mean 'mtan'"),
        ("nyuv2:size=288", "size '288' is not height x width"),
        ("nyuv2:side=4", "side '4' of 'nyuv2' is not possible"),
    ):
        with pytest.raises(UsageError, match=match):
            maker(**Choice.parse(text).values(maker))


def test_keypoints_are_computed_for_those_who_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = files.write_mtan(tmp_path / "source")
    made: list[int] = []
    encode: Any = importlib.import_module("auxbench.tasks._layouts.encode")
    real = encode.surf_keypoints
    monkeypatch.setattr(encode, "surf_keypoints", lambda rgb: made.append(1) or real(rgb))
    prepare(recognise(source)(source, size=SMALL), tmp_path / "without")
    assert not made
    data = DATASETS["nyuv2"](layout="mtan", data=str(tmp_path / "without"))
    assert "keypoints" not in list(data.tasks)
    with pytest.raises(UsageError, match="auxbench data prepare nyuv2:keypoints=yes --source DIR"):
        Problem.of(data, "depth", ["keypoints"])
    prepare(recognise(source)(source, size=SMALL, keypoints=True), tmp_path / "with")
    assert len(made) >= 8  # and some to tell the time from
    assert whole("mtan", tmp_path / "with").targets["keypoints"].max() > 0


def as_shipped(folder: Path) -> Path:
    """NDDR-CNN's tree: the lists beside the folder of the pictures."""
    source = files.write_nddr(folder / "nyu_v2")
    (source / "nyu_train_val").mkdir()
    for part in ("img", "seg", "normal_mask"):
        (source / part).rename(source / "nyu_train_val" / part)
    return source


def by_split(folder: Path) -> Path:
    """The tree that Aux-NAS reads: a folder for each split, and no lists."""
    source = files.write_nddr(folder / "flat", lists=False)
    for word, frames in (("training", files.TRAIN), ("testing", files.TEST)):
        for part in ("img", "seg", "normal_mask"):
            (folder / "nyu_train_val" / word / part).mkdir(parents=True)
            for n in frames:
                name = f"{part}/{n:04d}.png"
                (source / name).rename(folder / "nyu_train_val" / word / name)
    return folder / "nyu_train_val"


@pytest.mark.parametrize("write", [as_shipped, by_split])
def test_the_trees_of_the_target_paper_are_recognised(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    flat = files.write_nddr(tmp_path / "one")
    source = write(tmp_path / "other")
    places = [source, source.parent] if write is by_split else [source, source / "nyu_train_val"]
    wanted = recognise(flat)(flat, size=SMALL)
    for place in places:
        layout = recognise(place)(place, size=SMALL)
        assert (layout.name, layout.counts()) == ("nddr", wanted.counts())
        assert all(finding.status != "wrong" for finding in check(layout, every=True))
        for split, count in wanted.counts().items():
            keys = [wanted.key(split, index) for index in range(count)]
            for index in range(count):
                ours = layout.read(split, index)
                theirs = wanted.read(split, keys.index(layout.key(split, index)))
                for name, value in theirs.items():
                    np.testing.assert_array_equal(ours[name], value)


@pytest.mark.parametrize("write", [files.write_nddr, as_shipped, by_split])
def test_files_that_are_listed_and_not_there_are_counted(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    source = write(tmp_path / "x")
    found = recognise(source)(source, size=SMALL)
    victims = [found.file("seg", "train", 1), found.file("normal_mask", "train", 2)]
    for path in victims:
        path.unlink()
    layout = recognise(source)(source, size=SMALL)
    (said,) = [finding for finding in check(layout) if finding.subject == "train"]
    assert said.status == "wrong"
    count = layout.counts()["train"]
    assert f"{count} samples are listed, and 2 of their files are not there" in said.detail
    assert victims[0].name in said.detail
