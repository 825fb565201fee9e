"""Taskonomy's tree: what is read, what training gets, and what is refused.

The files are written here in their true formats, by hand and not by what reads them. Every picture
is a board of 8 x 8 fields of one value each, so that an element of any size is one of a field.
"""

from __future__ import annotations

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
from auxbench.data.losses import soft_cross_entropy
from auxbench.data.prepared.convert import prepare
from auxbench.data.prepared.layout import check
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
from auxbench.tasks._layouts import taskonomy as layouts
from auxbench.training.jvp import jvp
from auxbench.training.learner import start
from auxbench.training.loop import Training

Taskonomy: Any = DATASETS["taskonomy"]
Raw = npt.NDArray[Any]

SIDE = 16
FIELDS = np.arange(64).reshape(8, 8)
VIEWS = (  # by split, in the order of the list and of the numbers
    ("merom", 2, 0),
    ("merom", 2, 1),
    ("merom", 10, 0),
    ("hanson", 0, 3),
    ("wiconisco", 5, 0),
    ("wiconisco", 5, 1),
    ("ihlen", 1, 0),
)
COUNTS = {"train": 4, "validation": 2, "test": 1}
LIST = "id,train,val,test\rmerom,1,0,0\rhanson,1,0,0\ronaga,1,0,0\rwiconisco,0,1,0\rihlen,0,0,1\r"

# Where the scan has a surface: not in the first field, and of the second the margin is not trusted.
SEEN = FIELDS > 1
OUTSIDE = FIELDS == 63  # 20 m away


def metres(number: int) -> Raw:
    """Depths in 1/512 m, a view's own."""
    return np.where(OUTSIDE, 20, 0.5 + FIELDS / 8 + number / 4)


def steps(number: int, factor: float = 1.0) -> Raw:
    raw = np.rint(metres(number) * 512 * factor)
    raw[FIELDS == 0], raw[FIELDS == 1] = 65535, 64600
    return raw


def vectors() -> Raw:
    """Unit normals that point at the camera, with x right, y down, z forward."""
    x, y = (FIELDS % 8 - 4) / 8, (FIELDS // 8 - 4) / 8
    return np.stack([x, y, -np.sqrt(1 - x * x - y * y)], -1)


def coloured() -> Raw:
    colours = np.rint((vectors() + 1) * 127.5)
    colours[FIELDS == 0] = 128  # as in the release; the second field keeps what it must not have
    return colours


def scores(number: int, count: int) -> Raw:
    return np.random.default_rng([count, number]).normal(0, 3, count)


def softmax(values: Raw) -> Raw:
    powers = np.exp(values)
    shares: Raw = powers / powers.sum()
    return shares


def boards(number: int) -> dict[tuple[str, str], Raw]:
    """The pictures of a view by folder and by what is in its files' names."""
    red, green = FIELDS % 8 * 32, FIELDS // 8 * 32
    grey = FIELDS * 4
    return {
        ("rgb", "rgb"): np.stack([red, green, 0 * red + 20 * number], -1).astype(np.uint8),
        ("segment_semantic", "segmentsemantic"): (FIELDS % 18).astype(np.uint8),
        ("depth_zbuffer", "depth_zbuffer"): steps(number).astype(np.uint16),
        ("depth_euclidean", "depth_euclidean"): steps(number, 1.25).astype(np.uint16),
        ("normal", "normal"): coloured().astype(np.uint8),
        ("edge_texture", "edge_texture"): (FIELDS * 100).astype(np.uint16),
        ("edge_occlusion", "edge_occlusion"): (FIELDS * 10).astype(np.uint16),
        ("keypoints2d", "keypoints2d"): (FIELDS * 8).astype(np.uint16),
        ("keypoints3d", "keypoints3d"): (FIELDS * 1000).astype(np.uint16),
        ("reshading", "reshading"): np.stack([grey] * 3, -1).astype(np.uint8),
        ("principal_curvature", "principal_curvature"): np.stack(
            [127 + FIELDS, 127 - FIELDS, 0 * FIELDS], -1
        ).astype(np.uint8),
    }


def large(fields: Raw) -> Raw:
    return fields.repeat(64, 0).repeat(64, 1)


def write_tree(folder: Path, inner: str = "", listed: str = LIST) -> Path:
    """The tree of the release; with `inner` that of Omnidata's tool."""

    def at(domain: str, word: str, view: tuple[str, int, int], end: str = "png") -> Path:
        building, point, camera = view
        name = f"point_{point}_view_{camera}_domain_{word}.{end}"
        path = folder / domain / inner / building / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    for number, view in enumerate(VIEWS):
        for (domain, word), board in boards(number).items():
            Image.fromarray(large(board)).save(at(domain, word, view), compress_level=1)
        logits = scores(number, 1000).astype(np.float32)
        np.save(at("class_object", "class_object", view, "npy"), logits)
        np.save(at("class_scene", "class_places", view, "npy"), softmax(scores(number, 365)))
    at("rgb", "rgb", ("cauthron", 0, 0)).write_bytes(b"")
    (folder / "train_val_test_tiny.csv").write_bytes(listed.encode())
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("taskonomy") / "tree")


@pytest.fixture(scope="module")
def prepared(source: Path) -> Path:
    folder = source.with_name("prepared")
    prepare(layout(source), folder)
    return folder


@pytest.fixture
def copy(source: Path, tmp_path: Path) -> Path:
    """A copy of the tree, to put a mistake into."""
    return Path(shutil.copytree(source, tmp_path / "tree"))


def layout(folder: Path, **options: Any) -> Any:
    maker: Any = recognise(folder)
    assert (maker.dataset, maker.name) == ("taskonomy", "official")
    return maker(folder, side=SIDE, **options)


def dataset(folder: Path, **options: Any) -> Any:
    return Taskonomy(data=str(folder), **{"side": SIDE, **options})


def whole(folder: Path, split: str = "train", **options: Any) -> Batch:
    samples = dataset(folder, **options).samples(split)
    batch: Batch = samples.batch(np.arange(len(samples)), None)
    return batch


def fields(maps: torch.Tensor) -> Raw:
    """Return the constant value of each field."""
    array: Raw = maps.numpy()
    np.testing.assert_array_equal(array, array[..., ::2, ::2].repeat(2, -2).repeat(2, -1))
    return array[..., ::2, ::2]


def first(split: str) -> int:
    return {"train": 0, "validation": 4, "test": 6}[split]


def test_the_tree_is_recognised_and_whole(source: Path) -> None:
    findings = list(check(layout(source), every=True))
    assert [f for f in findings if f.status == "wrong"] == []
    said = {f.subject: f"{f.status}: {f.detail}" for f in findings}
    name = "train_val_test_tiny.csv"
    assert said["buildings for train"] == f"note: 2 of the 3 in {name}, without onaga"
    assert said["buildings for validation"] == f"ok: 1 of the 1 in {name}"
    assert said["other buildings"] == "note: not in that list: cauthron"
    assert said["segment_semantic"] == said["class_scene"] == "ok: 7 files"
    assert layout(source).counts() == COUNTS
    assert layout(source).key("train", 2) == "merom/point_10_view_0"


@pytest.mark.parametrize("split", COUNTS)
def test_pictures_keep_their_order_channels_and_directions(prepared: Path, split: str) -> None:
    inputs = whole(prepared, split).inputs
    assert inputs.shape == (COUNTS[split], 3, SIDE, SIDE)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = (inputs * std[:, None, None] + mean[:, None, None]) * 255
    # the filter that scales pictures down reaches a little across the fields' borders
    middles = torch.nn.functional.avg_pool2d(pixels, 2)
    for index, found in enumerate(middles.numpy()):
        board = boards(first(split) + index)["rgb", "rgb"]
        np.testing.assert_allclose(found, board.transpose(2, 0, 1), atol=2.1)


@pytest.mark.parametrize("split", COUNTS)
def test_depths_are_metres_up_to_sixteen(prepared: Path, split: str) -> None:
    targets = whole(prepared, split).targets
    for index in range(COUNTS[split]):
        known = SEEN & ~OUTSIDE
        for name, factor in (("depth", 1.0), ("distance", 1.25)):
            assert targets[name].shape[1:] == (1, SIDE, SIDE)
            expected = np.where(known, metres(first(split) + index) * factor, 0)
            np.testing.assert_allclose(fields(targets[name][index, 0]), expected, atol=1 / 1024)


def test_normals_point_right_down_forward(prepared: Path) -> None:
    found = fields(whole(prepared).targets["normals"])[1]
    assert (found[:, ~SEEN] == 0).all()
    angles = (found[:, SEEN] * vectors()[SEEN].T).sum(0) / np.linalg.norm(found[:, SEEN], axis=0)
    assert np.rad2deg(np.arccos(angles.clip(-1, 1))).max() < 0.6
    # a wall to the left of the camera, a floor, and what it looks at
    assert found[0, 4, 7] > 0.3
    assert found[1, 0, 4] < -0.3
    assert (found[2][SEEN] < 0).all()


def test_segmentation_is_background_and_sixteen_things(prepared: Path) -> None:
    found = fields(whole(prepared).targets["segmentation"])
    assert (found == FIELDS % 18 - 1).all()
    assert layouts.SEGMENTS[0] == "background"
    assert (layouts.SEGMENTS[1], layouts.SEGMENTS[16]) == ("bottle", "vase")  # of 2 and 17


@pytest.mark.parametrize(
    ("name", "numbers", "full", "geometric"),
    [
        ("edges", FIELDS * 100, 0.08 * 65535, False),
        ("keypoints", FIELDS * 8, 0.005 * 65535, False),
        ("occlusions", FIELDS * 10, 0.00625 * 65535, True),
        ("keypoints3d", FIELDS * 1000, 65535, True),
        ("reshading", FIELDS * 4, 255, True),
    ],
)
def test_responses_end_at_their_range(
    prepared: Path, name: str, numbers: Raw, full: float, geometric: bool
) -> None:
    found = whole(prepared).targets[name]
    assert found.shape == (4, 1, SIDE, SIDE)
    expected = (numbers / full).clip(max=1)
    if geometric:
        expected[~SEEN] = np.nan
    np.testing.assert_allclose(fields(found[2, 0]), expected, atol=1e-5)


def test_curvature_is_zero_where_it_is_flat(prepared: Path) -> None:
    found = fields(whole(prepared).targets["curvature"])[0]
    expected = np.where(SEEN, np.stack([FIELDS, -FIELDS]) / 127, np.nan)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("split", COUNTS)
def test_classes_are_the_teachers_among_those_that_are_kept(prepared: Path, split: str) -> None:
    hard, soft = whole(prepared, split).targets, whole(prepared, split, targets="soft").targets
    for name, count, numbers in (
        ("object", 1000, layouts.OBJECT_NUMBERS),
        ("scene", 365, layouts.SCENE_NUMBERS),
    ):
        assert hard[name].dtype == torch.int64
        for index in range(COUNTS[split]):
            expected = softmax(scores(first(split) + index, count)[numbers])
            np.testing.assert_allclose(soft[name][index].numpy(), expected, rtol=1e-4)
            assert int(hard[name][index]) == expected.argmax()


def test_some_classes_by_hand() -> None:
    assert (len(layouts.OBJECTS), len(layouts.SCENES), len(layouts.SEGMENTS)) == (100, 63, 17)
    for names, numbers, known in (
        (layouts.OBJECTS, layouts.OBJECT_NUMBERS, {"microwave": 651, "toilet tissue": 999}),
        (layouts.SCENES, layouts.SCENE_NUMBERS, {"kitchen": 203, "alcove": 3, "living room": 215}),
    ):
        assert (np.diff(numbers) > 0).all()
        assert {name: numbers[names.index(name)] for name in known} == known


def test_soft_targets_are_scored_by_the_first_choice(prepared: Path) -> None:
    batch = whole(prepared, targets="soft")
    task = dataset(prepared, targets="soft").tasks["object"]
    assert [make().name for make in task.kind.metrics] == ["accuracy", "top5-accuracy"]
    target = batch.targets["object"].clone()
    target[1] = torch.nan
    for prediction, score in ((target.nan_to_num(), 100.0), (-target.nan_to_num(), 0.0)):
        for make in task.kind.metrics:
            metric = make()
            metric.update(prediction, target)
            assert metric.compute() == score
    sums, counts = task.kind.loss(torch.zeros(4, 100), target)
    np.testing.assert_allclose(sums, np.log(100) * np.array([1, 0, 1, 1]), rtol=1e-5)
    assert counts.tolist() == [1, 0, 1, 1]


def test_the_soft_loss_has_the_derivatives_that_methods_need() -> None:
    target = torch.tensor([[0.25, 0.75], [torch.nan] * 2])
    scores_ = torch.tensor([[1.0, -1.0], [2.0, 3.0]], requires_grad=True)
    sums, _ = soft_cross_entropy(scores_, target)
    (slope,) = torch.autograd.grad(sums.sum(), scores_, create_graph=True)
    expected = scores_.softmax(1) - target
    torch.testing.assert_close(slope[0], expected[0])
    assert not slope[1].any()
    (bend,) = torch.autograd.grad(slope[0, 0], scores_)
    first, second = scores_[0].softmax(0).tolist()
    assert bend[0].tolist() == pytest.approx([first * second, -first * second])
    assert not bend[1].any()
    point, direction = scores_.detach(), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    _, tangent = jvp(
        lambda p: soft_cross_entropy(p["x"], target)[0], {"x": point}, {"x": direction}
    )
    assert tangent.tolist() == pytest.approx([slope[0, 0].item(), 0.0])


def test_half_of_a_picture_mirrors_it_with_its_labels(prepared: Path) -> None:
    samples = dataset(prepared).samples("train")
    chosen = np.zeros(12, np.int64)
    plain = samples.batch(chosen[:1], None)
    drawn = samples.batch(chosen, np.random.default_rng(0))
    mirrored = [not torch.equal(image, plain.inputs[0]) for image in drawn.inputs]
    assert set(mirrored) == {True, False}
    for name, target in plain.targets.items():
        expected = target[0].flip(-1) if target.ndim > 2 else target[0]
        if name == "normals":
            expected = expected * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
        found = drawn.targets[name][mirrored.index(True)]
        torch.testing.assert_close(found, expected, equal_nan=True)
    never = dataset(prepared, augment="none").samples("train")
    again = never.batch(chosen, np.random.default_rng(0)).inputs
    assert torch.equal(again, plain.inputs.expand_as(again))


def test_thin_lines_are_averaged_where_something_is_seen(copy: Path) -> None:
    lines = np.zeros((512, 512), np.uint16)
    lines[:, ::32] = 320  # one column of every element at side 16
    depth = np.full((512, 512), 512, np.uint16)
    depth[:, :8] = 65535  # a quarter of the first elements: they lose their line
    depth[:, 32:52] = 65535  # most of the second
    for domain, pixels in (("edge_occlusion", lines), ("depth_zbuffer", depth)):
        save(copy, domain, domain, pixels)
    rows = layout(copy).decoded("train", 1)
    assert rows["occlusions"][0].tolist() == [0, 65535] + [10] * 14
    assert rows["depth"][0].tolist() == [512, 0] + [512] * 14


def save(folder: Path, domain: str, word: str, content: Any) -> Path:
    """Put something else into a file of the second view for training."""
    building, point, camera = VIEWS[1]
    end = "npy" if domain.startswith("class") else "png"
    path = folder / domain / building / f"point_{point}_view_{camera}_domain_{word}.{end}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif end == "npy":
        np.save(path, content)
    else:
        Image.fromarray(content).save(path, compress_level=1)
    return path


def test_labels_that_a_view_lacks_are_missing(copy: Path, tmp_path: Path) -> None:
    for domain, word in boards(0):
        if domain != "rgb":
            save(copy, domain, word, b"").unlink()
    save(copy, "class_object", "class_object", b"\0" * 50)  # as some are in the release
    save(copy, "class_scene", "class_places", b"").unlink()
    said = {f.subject: f.detail for f in layout(copy).findings()}
    assert said["normal"] == (
        "1 of 7 views lack it, the first is merom/point_2_view_1; they have no such label"
    )
    prepare(layout(copy), tmp_path / "out")
    data = dataset(tmp_path / "out")
    batch = whole(tmp_path / "out")
    for name, task in data.tasks.items():
        prediction = torch.zeros(4, task.outputs, *([SIDE, SIDE] if task.dense else []))
        counts = task.losses(prediction, batch.targets[name]).counts
        assert (counts > 0).tolist() == [True, False, True, True], name
    soft = whole(tmp_path / "out", targets="soft").targets
    assert soft["object"][1].isnan().all()
    assert soft["scene"][0].isfinite().all()


def test_the_tree_of_omnidata_and_its_names_are_read_too(source: Path, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "tree", "taskonomy")
    for domain, old in (("segment_semantic", "segmentsemantic"), ("class_scene", "class_places")):
        for path in (folder / domain).rglob(f"*_{old}.*"):
            path.rename(path.with_name(path.name.replace(old, domain)))
    (folder / "splits_taskonomy").mkdir()
    name = "train_val_test_tiny.csv"
    (folder / name).rename(folder / "splits_taskonomy" / name)
    here, there = layout(folder), layout(source)
    assert here.counts() == there.counts()
    for index in range(4):
        found, expected = here.decoded("train", index), there.decoded("train", index)
        assert found.keys() == expected.keys()
        assert all((found[key] == expected[key]).all() for key in expected)


def test_some_buildings_of_another_list(copy: Path) -> None:
    (copy / "train_val_test_medium.csv").write_text(
        "id,train,val,test\ncauthron,1,0,0\nhanson,1,0,0\nmerom,0,1,0\nihlen,0,0,1\n"
    )
    assert layout(copy, split="medium").counts() == {"train": 2, "validation": 3, "test": 1}
    some = layout(copy, split="medium", buildings="hanson+merom+ihlen")
    assert some.counts() == {"train": 1, "validation": 3, "test": 1}
    assert some.key("train", 0) == "hanson/point_0_view_3"
    assert some.facts()["buildings"]["validation"] == [("merom", 3)]


def test_a_conversion_goes_on_where_it_was_stopped(
    source: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auxbench.data.prepared.convert.FLUSH", 1)
    monkeypatch.setattr(
        "auxbench.data.prepared.convert._forecast", lambda *_: ""
    )  # which reads some too
    made = layout(source)
    seen: list[str] = []
    made.threads = False
    read = made.read

    def going(split: str, index: int) -> Any:
        seen.append(made.key(split, index))
        return read(split, index)

    def stopping(split: str, index: int) -> Any:
        if len(seen) == 3:
            raise KeyboardInterrupt
        return going(split, index)

    made.read = stopping
    with pytest.raises(KeyboardInterrupt):
        prepare(made, tmp_path / "out")
    again = layout(source)
    again.threads, again.read = False, going
    prepare(again, tmp_path / "out")
    assert seen == [f"{building}/point_{point}_view_{view}" for building, point, view in VIEWS]
    for path in prepared.glob("*.npy"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("primary", "auxiliaries", "targets"),
    [
        (None, None, "hard"),
        ("object", ["scene"], "hard"),
        ("scene", ["object"], "soft"),
        ("edges", ["occlusions", "keypoints", "keypoints3d", "curvature"], "hard"),
    ],
)
def test_a_step_of_auxnas_and_pcgrad(
    prepared: Path, primary: str | None, auxiliaries: list[str] | None, targets: str
) -> None:
    data = dataset(prepared, side=32, targets=targets, enlarge=True)
    problem = Problem.of(data, primary, auxiliaries)
    if primary is None:
        assert [task.name for task in problem.tasks] == ["segmentation", "depth", "normals"]
    recipe = BUDGETS["demo"].with_changes(steps=1, batch=2, evaluations=1)
    builder = Builder(problem.tasks, lambda: backbone.build("test_resnet", 32), Seeds("t", 0, "1"))
    meter = Meter()
    learner = start(Method.parse("auxnas+pcgrad"), builder, recipe, meter)
    training = Training(learner, problem, recipe, builder, meter)
    before = {k: v.clone() for k, v in learner.architecture.state_dict().items()}
    training.run()
    after = learner.architecture.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert all(value.isfinite().all() for value in after.values())


def test_metrics_are_the_customary_ones() -> None:
    depth = ["abs m", "rel %", "rmse m", "delta1.25 %", "delta1.25^2 %", "delta1.25^3 %"]
    angles = ["mean-angle °", "median-angle °", "rmse-angle °"]
    found = {
        name: [
            f"{metric.name} {metric.unit}".strip() for metric in (m() for m in task.kind.metrics)
        ]
        for name, task in Taskonomy.tasks.items()
    }
    maps = ("edges", "occlusions", "keypoints", "keypoints3d", "reshading", "curvature")
    assert found == {
        "segmentation": ["miou %", "pixel-accuracy %"],
        "depth": depth,
        "distance": depth,
        "normals": [*angles, "within11.25 %", "within22.5 %", "within30 %"],
        **{name: ["l1"] for name in maps},
        "object": ["accuracy %", "top5-accuracy %"],
        "scene": ["accuracy %", "top5-accuracy %"],
    }


# ---- what is refused, each in one line


def broken(folder: Path, match: str) -> None:
    """A mistake in the second view for training is said in one line."""
    with pytest.raises(UsageError, match=match) as caught:
        layout(folder).decoded("train", 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("domain", "content", "match"),
    [
        ("rgb", np.zeros((512, 512), np.uint8), r"kind 'L', not RGB"),
        ("rgb", np.zeros((1024, 1024, 3), np.uint8), r"1024 x 1024 pixels, not 512 x 512"),
        ("depth_zbuffer", np.zeros((512, 512), np.uint8), r"kind 'L', not I;16"),
        ("depth_euclidean", np.zeros((512, 512, 3), np.uint8), r"kind 'RGB', not I;16"),
        ("normal", np.zeros((512, 512), np.uint16), r"kind 'I;16', not RGB"),
        ("edge_texture", np.zeros((256, 512), np.uint16), r"256 x 512 pixels, not 512 x 512"),
        ("segment_semantic", np.full((512, 512), 18, np.uint8), r"the class '18', .* 0..17"),
        ("class_object", np.zeros(365), r"shape '\(365,\)', not \(1000,\)"),
        ("class_object", np.zeros(1000, np.int64), r"dtype 'int64', where a float is expected"),
        ("class_scene", np.full(365, np.nan), r"has numbers that are not finite"),
    ],
)
def test_files_with_mistakes(copy: Path, domain: str, content: Any, match: str) -> None:
    save(copy, domain, layouts.WORDS.get(domain, domain), content)
    broken(copy, match)


@pytest.mark.parametrize("domain", ["rgb", "depth_zbuffer", "class_object"])
def test_files_that_are_cut_short(copy: Path, domain: str) -> None:
    path = next((copy / domain / "merom").glob("point_2_view_1_*"))
    path.write_bytes(path.read_bytes()[:300])
    broken(copy, rf"_{domain}\.\w+' cannot be read \(.*\); get it again")
    wrong = [f for f in check(layout(copy), every=True) if f.status == "wrong"]
    assert [f.subject for f in wrong] == ["merom/point_2_view_1"]


def test_a_picture_that_goes_while_it_is_read(copy: Path) -> None:
    made = layout(copy)
    assert made.counts() == COUNTS
    shutil.rmtree(copy / "rgb" / "merom")
    with pytest.raises(UsageError, match=r"the picture of 'merom/point_2_view_0' in .* is gone"):
        made.decoded("train", 0)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"does not begin with id,train,val,test; get it again"),
        ("id,train,test\rmerom,1,0\r", r"does not begin with id,train,val,test"),
        ("id,train,val,test\rmerom,1,1,0\r", r"puts the building 'merom' into 2 splits, not one"),
        ("id,train,val,test\rmerom,0,0,0\r", r"puts the building 'merom' into 0 splits, not one"),
        ("id,train,val,test\rmerom,1\r", r"puts the building 'merom' into 1 splits, not one"),
        (LIST + "merom,0,0,1\r", r"puts the building 'merom' into train and test"),
        ("id,train,val,test\ronaga,1,0,0\r", r"has none of the buildings in 'train_val_test_tiny"),
    ],
)
def test_lists_with_mistakes(copy: Path, text: str, match: str) -> None:
    (copy / "train_val_test_tiny.csv").write_bytes(text.encode())
    with pytest.raises(UsageError, match=match) as caught:
        layout(copy)
    assert "\n" not in str(caught.value)


def test_options_of_the_conversion_are_checked(source: Path) -> None:
    maker: Any = recognise(source)
    for text, match in (
        ("official:buildings=cauthron", r"building 'cauthron' is not in .*; name others, or"),
        ("official:buildings=merom+onaga", r"building 'onaga' has no pictures in"),
        ("official:split=full", r"does not say which .*; unpack train_val_test_full.csv of https"),
        ("official:split=huge", r"option 'split' of 'official' is 'huge'"),
        ("official:side=600", r"side '600' of 'taskonomy' is not possible; choose 8 to 512"),
    ):
        with pytest.raises(UsageError, match=match) as caught:
            maker(source, **Choice.parse(text).values(maker))
        assert "\n" not in str(caught.value)


def test_an_empty_split_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"split 'test' in .* is empty; get the folder rgb and"):
        prepare(layout(source, buildings="merom+wiconisco"), tmp_path / "out")


def test_folders_that_are_no_such_tree(copy: Path) -> None:
    shutil.rmtree(copy / "rgb")
    with pytest.raises(UsageError, match="has no known layout; it should hold the folder rgb and"):
        recognise(copy, "taskonomy")


def test_a_task_that_a_folder_lacks_is_refused(copy: Path, tmp_path: Path) -> None:
    for domain in ("segment_semantic", "depth_zbuffer", "normal", "class_scene"):
        shutil.rmtree(copy / domain)
    notes = [f.detail for f in layout(copy).findings() if f.status == "note"]
    assert "no such folder, so no task scene" in notes
    prepare(layout(copy), tmp_path / "out")
    data = dataset(tmp_path / "out")
    assert set(Taskonomy.tasks) - set(data.tasks) == {"segmentation", "depth", "normals", "scene"}
    problem = Problem.of(data)
    assert problem.primary.name not in {"segmentation", "depth", "normals", "scene"}
    assert {task.name for task in problem.auxiliaries} <= set(data.tasks)
    batch = whole(tmp_path / "out")
    assert set(batch.targets) == set(data.tasks)
    # where there is a surface is then said by the distances
    assert (np.isnan(fields(batch.targets["occlusions"][0, 0])) == ~SEEN).all()
    for task, match in (
        ("scene", r"task 'scene' has no files in .*; get the domain 'class_scene' and prepare it"),
        ("scenes", r"no task is called 'scenes'"),
    ):
        with pytest.raises(UsageError, match=match) as caught:
            Problem.of(data, task, [])
        assert "\n" not in str(caught.value)


def test_what_is_not_prepared_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="auxbench data prepare taskonomy --source DIR --out"):
        dataset(tmp_path / "none").prepare()
    for text, match in (
        ("taskonomy:targets=sof", "option 'targets' of 'taskonomy' is 'sof'"),
        ("taskonomy:side=4", "side '4' of 'taskonomy' is not possible"),
    ):
        with pytest.raises(UsageError, match=match):
            Taskonomy(**Choice.parse(text).values(Taskonomy))


def test_it_is_prepared_by_name_but_not_fetched(source: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    words = ["prepare", "taskonomy:side=16", "--source", str(source), "--out", out]
    result = CliRunner().invoke(data_command, words)
    assert result.exception is None
    assert f"auxbench run --dataset taskonomy:layout=official:data={out}" in result.output
    dataset(Path(out)).prepare()
    refused = str(CliRunner().invoke(data_command, ["fetch", "taskonomy"]).exception)
    assert "may not be fetched for you (research terms of Taskonomy and Omnidata" in refused
    assert "; then auxbench data prepare taskonomy --source DIR." in refused
