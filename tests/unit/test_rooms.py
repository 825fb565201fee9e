"""The data set `rooms`: the ray caster against geometry, labels, splits, mirroring, the cache."""

from __future__ import annotations

import doctest
import errno
import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from auxbench.data.dataset import Batch
from auxbench.errors import UsageError
from auxbench.spec.registry import DATASETS
from auxbench.tasks import _filters
from auxbench.tasks._rooms import scenes as _scenes
from auxbench.tasks._rooms import store as _store
from auxbench.tasks._rooms.render import normals, surface, visible
from auxbench.tasks._rooms.room import SCENES, Room, room
from auxbench.tasks._rooms.scenes import SPLITS, layout, scene
from auxbench.tasks._rooms.shapes import BOX, CLASSES, ELLIPSOID, FRUSTUM, NEAR, SHELL, entry
from auxbench.tasks._rooms.store import Damaged, Store, draw, drawn

Rooms = DATASETS["rooms"]
COUNTS = {"train": 2, "validation": 1, "test": 1}
FLOOR = 2  # the number of the floor among the solids of every room


def made(index: int) -> Room:
    return room(np.random.default_rng([_scenes.VERSION, 0, index]))


def digest(rows: dict[str, np.ndarray]) -> str:
    total = hashlib.sha256()
    for name in sorted(rows):
        total.update(np.ascontiguousarray(rows[name]).tobytes())
    return total.hexdigest()


def python(*arguments: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def scenes() -> list[dict[str, np.ndarray]]:
    return [scene("train", index, 64) for index in range(24)]


# the ray caster


@pytest.mark.parametrize(
    ("kind", "taper"),
    [(BOX, 1.0), (ELLIPSOID, 1.0), (FRUSTUM, 1.0), (FRUSTUM, 0.4), (FRUSTUM, 2.0)],
)
def test_rays_enter_solids_where_marching_along_them_does(kind: int, taper: float) -> None:
    rng = np.random.default_rng(0)
    half = np.array((0.5, 0.8, 0.5 if kind == FRUSTUM else 0.3), np.float32)
    origin = rng.normal(size=(3, 300))
    origin *= 3 / np.linalg.norm(origin, axis=0)
    d = rng.uniform(-1, 1, (3, 300)) - origin  # aimed at points near the solid
    steps = np.linspace(0, 2, 8001)
    x, y, z = (origin[:, :, None] + d[:, :, None] * steps) / half[:, None, None]
    inside = {
        BOX: np.maximum(np.maximum(abs(x), abs(y)), abs(z)) < 1,
        ELLIPSOID: x * x + y * y + z * z < 1,
        FRUSTUM: (abs(y) < 1) & (np.hypot(x, z) < (1 + taper + (taper - 1) * y) / 2),
    }[kind]
    expected = np.where(inside.any(1), steps[inside.argmax(1)], np.inf)
    t = entry(kind, half, taper, origin.astype(np.float32), d.astype(np.float32))
    hit, marched = np.isfinite(t), inside.any(1)
    assert 50 < marched.sum() < 280
    assert hit[marched].all()
    assert (hit & ~marched).mean() < 0.02  # a ray may graze a solid between two steps
    np.testing.assert_allclose(t[marched], expected[marched], atol=5e-4)


@pytest.mark.parametrize("index", range(4))
def test_every_pixel_sees_the_nearest_of_all_solids(index: int) -> None:
    this, count = made(index), 40
    solids, camera = this.solids, this.camera
    depth, number = visible(solids, camera, count)
    grid = (np.arange(count) + 0.5) / count * 2 - 1
    x, y = np.meshgrid(grid * camera.reach, grid * camera.reach)
    d = camera.axes.T @ np.stack((x, y, np.ones_like(x))).reshape(3, -1)
    here = camera.position[:, None].astype(np.float64)
    nearest = (np.where(d > 0, 2 * solids.room[:, None], 0) - here) / d
    nearest = nearest.min(0)
    for n in np.flatnonzero(solids.kind != SHELL):
        turned = solids.rotation[n].T
        start = turned @ (here - solids.centre[n][:, None])
        t = entry(int(solids.kind[n]), solids.half[n], float(solids.taper[n]), start, turned @ d)
        nearest = np.where(t > NEAR, np.minimum(nearest, t), nearest)
    apart = np.abs(depth.ravel() - nearest) > 1e-3
    assert apart.mean() < 2e-3  # rays along an edge may fall to either side
    assert (depth > NEAR).all()
    assert len(np.unique(number)) > 10


def test_the_floor_lies_at_its_place_below_the_camera() -> None:
    for index in range(6):
        this = made(index)
        depth, number = visible(this.solids, this.camera, 64)
        normal = normals(this.solids, this.camera, depth, number)
        floor = number == FLOOR
        assert floor.any()
        up = this.camera.axes[:, 1]  # the world's y axis in camera axes
        np.testing.assert_allclose(normal[:, floor], np.tile(up[:, None], floor.sum()), atol=1e-5)
        stored = scene("train", index, 64)["depth"] / 1000
        x, y = np.meshgrid(*[((np.arange(64) + 0.5) / 32 - 1) * this.camera.reach] * 2)
        points = np.stack((x, y, np.ones_like(x))) * stored
        below = -np.einsum("c,chw->hw", up, points)[floor & (stored > 0)]
        np.testing.assert_allclose(below, this.camera.position[1], atol=1e-3)


def test_normals_are_those_of_the_depth() -> None:
    errors = []
    for index in range(6):
        this = made(index)
        depth, number = visible(this.solids, this.camera, 128)
        normal = normals(this.solids, this.camera, depth, number)
        x, y = np.meshgrid(*[((np.arange(128) + 0.5) / 64 - 1) * this.camera.reach] * 2)
        points = np.stack((x, y, np.ones_like(x))) * depth.astype(np.float64)
        right = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
        down = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
        found = np.cross(down, right, axis=0)
        found /= np.linalg.norm(found, axis=0)
        middle = number[1:-1, 1:-1]
        same = np.ones_like(middle, bool)
        for near in (number[1:-1, 2:], number[1:-1, :-2], number[2:, 1:-1], number[:-2, 1:-1]):
            same &= near == middle
        cosine = (found * normal[:, 1:-1, 1:-1]).sum(0)[same]
        errors.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    error = np.concatenate(errors)
    assert np.median(error) < 0.1
    assert np.mean(error < 2) > 0.95  # the rest spans an edge of one box


def test_points_of_a_surface_lie_where_the_depth_says() -> None:
    this = made(1)
    depth, number = visible(this.solids, this.camera, 32)
    hits = surface(this.solids, this.camera, depth, number)
    back = this.camera.axes @ (hits.point - this.camera.position[:, None])
    np.testing.assert_allclose(back[2], depth.ravel(), atol=1e-4)
    assert (hits.point > -1e-3).all()
    assert (hits.point < 2 * this.solids.room[:, None] + 1e-3).all()


# labels


def test_arrays_have_the_types_and_shapes_of_the_layout() -> None:
    one = scene("validation", 5, 24)
    assert {name: (a.dtype, a.shape) for name, a in one.items()} == {
        name: (np.dtype(kind), shape) for name, (kind, shape) in layout(24).items()
    }


def test_labels_are_within_their_ranges(scenes: list[dict[str, np.ndarray]]) -> None:
    for one in scenes:
        assert -1 <= one["segmentation"].min() <= one["segmentation"].max() < len(CLASSES)
        depth = one["depth"][one["depth"] > 0]
        assert 100 <= depth.min() < depth.max() < 9000
        length = np.linalg.norm(one["normals"] / 32767, axis=0)
        valid = one["normals"].any(0)
        np.testing.assert_allclose(length[valid], 1, atol=1e-4)
        assert 0 <= one["scene"] < len(SCENES)
        assert one["edges"].max() > 2000
        assert one["keypoints"].max() < 65535


def test_normals_face_the_camera(scenes: list[dict[str, np.ndarray]]) -> None:
    for index, one in enumerate(scenes[:8]):
        reach = made(index).camera.reach
        x, y = np.meshgrid(*[((np.arange(64) + 0.5) / 32 - 1) * reach] * 2)
        towards = (one["normals"] / 32767 * np.stack((x, y, np.ones_like(x)))).sum(0)
        assert (towards[one["normals"].any(0)] < 0).all()


def test_some_labels_are_missing_and_most_are_not(scenes: list[dict[str, np.ndarray]]) -> None:
    missing = {
        "segmentation": [np.mean(one["segmentation"] == -1) for one in scenes],
        "depth": [np.mean(one["depth"] == 0) for one in scenes],
        "normals": [1 - np.mean(one["normals"].any(0)) for one in scenes],
    }
    for name, shares in missing.items():
        assert 0.01 < np.mean(shares) < 0.12, name
        assert max(shares) < 0.35, name
    for one in scenes:
        assert not (one["normals"].any(0) & (one["depth"] == 0)).any()


def test_every_class_and_every_scene_occurs() -> None:
    pixels, uses = np.zeros(len(CLASSES)), np.zeros(len(SCENES))
    for index in range(120):
        this = made(index)
        _, number = visible(this.solids, this.camera, 24)
        pixels += np.bincount(this.solids.label[number].ravel(), minlength=len(CLASSES))
        uses[this.scene] += 1
    shares = dict(zip(CLASSES, pixels / pixels.sum(), strict=True))
    assert min(shares.values()) > 0.003, shares
    assert shares["wall"] < 0.5
    assert uses.min() > 10


def test_edges_are_the_sobel_magnitude_of_the_smoothed_grey_picture() -> None:
    image = scene("train", 0, 96)["image"]
    grey = (image / 255.0) @ np.array((0.2125, 0.7154, 0.0721))
    smooth = ndimage.gaussian_filter(grey, 1.0)  # 3 * 96 / 512 is below one pixel
    kernel = np.outer((1, 2, 1), (-1, 0, 1)) / 4
    right, down = ndimage.convolve(smooth, kernel), ndimage.convolve(smooth, kernel.T)
    expected = np.sqrt((right**2 + down**2) / 2)
    np.testing.assert_allclose(_filters.edges(image), expected, atol=1e-5)
    np.testing.assert_allclose(scene("train", 0, 96)["edges"] / 65535, expected, atol=2e-5)


def test_edges_are_smoothed_as_much_as_the_side_asks() -> None:
    step = np.zeros((512, 512, 3), np.uint8)
    step[:, 256:] = 255
    response = _filters.edges(step)[200]
    # the derivative of a step under a Gaussian of 3 pixels is that Gaussian
    gauss = np.exp(-((np.arange(512) - 255.5) ** 2) / 18) / (3 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(response, gauss * 2 / np.sqrt(2), atol=6e-3)


def test_keypoints_are_the_largest_determinant_of_the_hessian() -> None:
    image = scene("test", 0, 64)["image"]
    grey = (image / 255.0) @ np.array((0.2125, 0.7154, 0.0721))
    responses = [np.zeros((64, 64))]
    for sigma in [max(s / 8, 1) for s in np.linspace(1, 30, 10)]:
        along, across, mixed = (
            ndimage.gaussian_filter(grey, sigma, order=order) for order in ((2, 0), (0, 2), (1, 1))
        )
        responses.append(sigma**4 * (along * across - mixed**2))
    expected = np.max(responses, axis=0)
    np.testing.assert_allclose(_filters.keypoints(image), expected, atol=1e-5)


def test_a_blob_is_a_keypoint_and_an_edge_is_none() -> None:
    y, x = np.mgrid[0:64, 0:64]
    blob = np.repeat((200 * np.exp(-((x - 40) ** 2 + (y - 20) ** 2) / 18))[..., None], 3, 2)
    response = _filters.keypoints(blob.astype(np.uint8))
    assert np.unravel_index(response.argmax(), response.shape) == (20, 40)
    edge = np.where(x > 30, 200, 0)[..., None].repeat(3, 2).astype(np.uint8)
    assert _filters.keypoints(edge).max() < 0.01 * response.max()


# splits


def test_a_scene_is_the_same_twice_and_in_another_process() -> None:
    here = digest(scene("test", 7, 32))
    assert here == digest(scene("test", 7, 32))
    process = python(
        "-c",
        "import hashlib, sys; from auxbench.tasks._rooms.store import draw\n"
        "rows = draw('test', 6, 8, 32); total = hashlib.sha256()\n"
        "for name in sorted(rows): total.update(rows[name][1].tobytes())\n"
        "print(total.hexdigest(), 'torch' in sys.modules)",
    )
    output, errors = process.communicate(timeout=60)
    assert not errors
    # workers that had to load torch would start slowly
    assert output.split() == [here, "False"]


def test_no_scene_is_in_two_splits_or_twice_in_one() -> None:
    seen = {digest({"d": scene(split, i, 16)["depth"]}) for split in SPLITS for i in range(12)}
    assert len(seen) == 36


def test_workers_draw_what_one_process_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"train": 17, "validation": 3, "test": 9}
    monkeypatch.setattr(_store, "FEW", 8)
    monkeypatch.setattr(_store, "cores", lambda: 2)
    pieces = list(drawn(16, counts))
    assert [split for split, _ in pieces] == ["train"] * 3 + ["validation"] + ["test"] * 2
    for split, count in counts.items():
        alone = draw(split, 0, count, 16)
        together = [rows for name, rows in pieces if name == split]
        for name, values in alone.items():
            np.testing.assert_array_equal(np.concatenate([r[name] for r in together]), values)


def test_a_script_without_a_guard_may_start_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; from auxbench.tasks._rooms import store as _store; print('start')\n"
        "_store.FEW, _store.cores = 8, lambda: 2\n"
        "counts = {'train': 16, 'validation': 1, 'test': 1}\n"
        "print(sum(len(rows['scene']) for _, rows in _store.drawn(16, counts)))\n"
    )
    process = python(str(script))
    assert process.communicate(timeout=60) == ("start\n18\n", "")


# the data set


def everything(dataset: object, split: str, rng: np.random.Generator | None = None) -> Batch:
    samples = dataset.samples(split)  # type: ignore[attr-defined]
    return samples.batch(np.arange(len(samples)), rng)


def test_a_batch_holds_inputs_and_targets_in_their_units() -> None:
    batch, one = everything(Rooms.tiny(), "train"), scene("train", 3, 32)
    assert batch.inputs.shape == (8, 3, 32, 32)
    pixel = (one["image"][5, 6] / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(batch.inputs[3, :, 5, 6], pixel, atol=1e-5)
    targets = {name: target[3] for name, target in batch.targets.items()}
    assert set(targets) == set(Rooms.tasks)
    np.testing.assert_array_equal(targets["segmentation"], one["segmentation"])
    np.testing.assert_allclose(targets["depth"][0], one["depth"] / 1000, rtol=1e-6)
    np.testing.assert_allclose(targets["normals"], one["normals"] / 32767, atol=1e-6)
    np.testing.assert_allclose(
        targets["edges"][0], np.clip(one["edges"] / 65535 / 0.2, 0, 1), atol=1e-5
    )
    assert targets["scene"] == one["scene"]
    for target in (batch.inputs, *batch.targets.values()):
        assert torch.isfinite(target).all()
        assert target.is_contiguous()


def test_perfect_predictions_score_best() -> None:
    batch = everything(Rooms.tiny(), "test")
    for name, task in Rooms.tasks.items():
        target = batch.targets[name]
        prediction = target
        if name in ("segmentation", "scene"):
            one_hot = torch.nn.functional.one_hot(target.clamp(min=0), task.outputs).float()
            prediction = one_hot.movedim(-1, 1) * 50
        assert task.losses(prediction, target).mean() < 1e-4
        for make in task.kind.metrics:
            metric = make()
            metric.update(prediction, target)
            best = 100 if metric.direction == "up" else 0
            assert metric.compute() == pytest.approx(best, abs=0.1)


def test_mirroring_turns_the_picture_and_all_labels_together() -> None:
    plain = everything(Rooms.tiny(), "train")
    turned = everything(Rooms.tiny(), "train", np.random.default_rng(0))
    mirrored = 0
    for k in range(8):
        flip = not torch.equal(turned.inputs[k], plain.inputs[k])
        mirrored += flip
        pairs = [(turned.inputs[k], plain.inputs[k])]
        pairs += [(turned.targets[name][k], plain.targets[name][k]) for name in Rooms.tasks]
        for name, (after, before) in zip(("image", *Rooms.tasks), pairs, strict=True):
            expected = before.flip(-1) if flip and before.ndim else before
            if flip and name == "normals":
                expected = expected * torch.tensor((-1.0, 1.0, 1.0))[:, None, None]
            assert torch.equal(after, expected), name
    assert 0 < mirrored < 8


def test_batches_do_not_change_the_samples() -> None:
    samples = Rooms.tiny().samples("train")
    before = samples.batch(np.arange(8), None)
    samples.batch(np.arange(8), np.random.default_rng(0)).targets["normals"].zero_()
    after = samples.batch(np.arange(8), None)
    assert torch.equal(before.targets["normals"], after.targets["normals"])


@pytest.mark.parametrize(
    "options", [{"side": 8}, {"side": 1024}, {"train": 0}, {"validation": -1}, {"test": 0}]
)
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=str(next(iter(options.values())))):
        Rooms(**options)


@pytest.mark.parametrize("module", ["shapes", "surfaces", "render", "sensing", "scenes", "store"])
def test_examples_of_the_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"auxbench.tasks._rooms.{module}"))
    assert result.failed == 0


# the cache


def cut(folder: Path) -> None:
    file = folder / "train-depth.npy"
    file.write_bytes(file.read_bytes()[:-7])


def flip_a_bit(folder: Path) -> None:
    file = folder / "test-image.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def lose_a_file(folder: Path) -> None:
    (folder / "validation-normals.npy").unlink()


def lose_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def garble_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def take_another_generator(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"generator": 0}))


@pytest.mark.parametrize(
    "harm",
    [cut, flip_a_bit, lose_a_file, lose_the_manifest, garble_the_manifest, take_another_generator],
)
def test_a_damaged_cache_is_announced_and_drawn_again(
    harm: Callable[[Path], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path, 16, COUNTS)
    store.prepare()
    before = {split: digest(store.open(split)) for split in SPLITS}
    harm(store.folder)
    with pytest.raises(Damaged):
        store.check()
    capfd.readouterr()
    store.prepare()
    notes = [line for line in capfd.readouterr().err.splitlines() if "damaged" in line]
    assert len(notes) == 1
    assert str(store.folder) in notes[0]
    assert {split: digest(store.open(split)) for split in SPLITS} == before
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [store.folder.name]


def test_a_sound_cache_is_used_and_not_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path))
    dataset = Rooms(side=16, **COUNTS)
    dataset.prepare()
    progress = capfd.readouterr().err.splitlines()
    assert "16 x 16 pixels, which are kept: 4 scenes" in progress[0]
    assert "4 of 4 scenes" in progress[-1]
    monkeypatch.setattr(_store, "drawn", lambda *_: pytest.fail("drawn again"))
    dataset.prepare()
    assert capfd.readouterr().err == ""
    for split, count in COUNTS.items():
        batch = everything(Rooms(side=16, **COUNTS), split)
        assert len(batch) == count
        drawn_now = draw(split, 0, count, 16)
        np.testing.assert_array_equal(batch.targets["segmentation"], drawn_now["segmentation"])
        np.testing.assert_allclose(batch.targets["depth"][:, 0], drawn_now["depth"] / 1000, 1e-6)


def test_a_larger_data_set_begins_with_the_scenes_of_a_smaller_one(tmp_path: Path) -> None:
    small, large = Store(tmp_path, 16, COUNTS), Store(tmp_path, 16, COUNTS | {"train": 5})
    small.prepare()
    large.prepare()
    assert digest(small.open("train")) == digest(
        {name: rows[:2] for name, rows in large.open("train").items()}
    )
    assert digest(small.open("test")) == digest(large.open("test"))


def test_a_drawing_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(_store, "drawn", full)
    with pytest.raises(UsageError, match=r"No space left on device.*AUXBENCH_CACHE"):
        Rooms(side=16, **COUNTS).prepare()
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_processes_that_ask_at_the_same_time_do_each_other_no_harm(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from auxbench.tasks._rooms.store import Store\n"
        "store = Store(Path(sys.argv[1]), 16, {'train': 9, 'validation': 1, 'test': 1})\n"
        "store.prepare(); print(store.open('train')['depth'].sum())"
    )
    racers = [python("-c", code, str(tmp_path)) for _ in range(3)]
    results = [racer.communicate(timeout=60) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], results
    assert {output for output, _ in results} == {f"{draw('train', 0, 9, 16)['depth'].sum()}\n"}
    assert sum("are kept: 11 scenes" in errors for _, errors in results) == 1
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_a_result_of_a_quicker_process_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path, 16, COUNTS)
    store.prepare()
    stamp = (store.folder / "manifest.json").stat().st_ino
    late = tmp_path / "late.part"
    late.mkdir()
    store._write(late)
    store._publish(late)
    assert (store.folder / "manifest.json").stat().st_ino == stamp


def test_box_filters_give_the_hessian_of_scikit_image() -> None:
    """Golden values: skimage.feature.hessian_matrix_det of scikit-image 0.26, in float64."""
    labels: Any = importlib.import_module("auxbench.tasks._filters")
    y, x = np.mgrid[0:48, 0:64]
    waves = 127 + 90 * np.sin(x / 5.0) * np.cos(y / 7.0)
    spot = 30 * ((x - 40) ** 2 + (y - 20) ** 2 < 60)
    image = np.repeat((waves + spot).clip(0, 255).astype(np.uint8)[..., None], 3, 2)
    integral = labels.grey(image).astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    places = ((20, 40), (10, 12), (0, 0), (47, 63))
    golden = {
        3: [2.2593486e-07, -9.8423858e-06, -9.6468080e-06, -2.5591698e-03],  # sigma 1
        7: [6.8225259e-04, 7.5703396e-04, 2.5661280e-03, -1.2103383e-03],  # sigma 2.4
        12: [6.6952810e-04, -3.8457274e-04, -2.5370197e-03, -1.4886973e-03],  # sigma 4
    }
    for size, wanted in golden.items():
        found = labels.box_hessian(integral, size)
        # Processors sum grey values in another order, which shows where the determinant is near 0.
        assert [found[place] for place in places] == pytest.approx(wanted, rel=1e-6, abs=1e-9)
    best = np.max([labels.box_hessian(integral, size) for size in (3, 4, 5, 6, 7, 8)], axis=0)
    # At a height of 48 pixels the ten scales are 1 to 2.8 pixels, filters of 3 to 8 pixels.
    np.testing.assert_allclose(labels.surf_keypoints(image), best.clip(min=0), atol=1e-9)
