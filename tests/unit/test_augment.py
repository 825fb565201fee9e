"""Augmentation: pictures and labels stay those of one scene, checked on a plane before a camera.

The inverse depth of a plane n . X = c seen by a pinhole camera is n . ray / c, which is linear in
the pixel's place. So what a turned, zoomed or mirrored camera would see of a turned or mirrored
plane is known in closed form, and interpolating it linearly is exact.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from auxbench.data.augment import augmented, seen
from auxbench.data.dataset import Batch, named
from auxbench.data.kinds import Classes, Depth, Disparity, Kind, Label, Map, Normals
from auxbench.data.taps import ColumnTaps, taps
from auxbench.data.views import AUXNAS, MTAN, Protocol, View, smooth

HEIGHT, WIDTH = 24, 32
FOCAL = 30.0
NORMAL = np.array([0.3, -0.5, -math.sqrt(1 - 0.34)])
DISTANCE = -2.0

Floats = npt.NDArray[np.float64]


def inverse_depth(normal: Floats, focal: float, size: tuple[int, int]) -> Floats:
    """Render the plane as a camera sees it, at pixel centres."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    right, down = x + 0.5 - size[1] / 2, y + 0.5 - size[0] / 2
    rays = np.stack([right / focal, down / focal, np.ones(size)], -1)
    found: Floats = rays @ normal / DISTANCE
    return found


def turned(normal: Floats, view: View) -> Floats:
    """The plane's normal after the scene is turned clockwise, then mirrored."""
    angle = math.radians(view.angle)
    x, y, z = normal
    x, y = math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y
    return np.array([-x if view.mirrored else x, y, z])


def look(targets: dict[str, Tensor], kinds: dict[str, Kind], view: View) -> dict[str, Tensor]:
    size = next(iter(targets.values())).shape[-2:]
    batch = Batch(torch.zeros(1, 3, *size), {k: v[None] for k, v in targets.items()})
    return {k: v[0] for k, v in seen(batch, named(kinds), [view]).targets.items()}


VIEWS = [
    View.whole((HEIGHT, WIDTH), (HEIGHT, WIDTH)),
    *(
        View.of((HEIGHT, WIDTH), size, (0.5, 0.5), zoom, angle, mirrored)
        for size in ((HEIGHT, WIDTH), (12, 16), (16, 16))
        for zoom in (1.0, 1.5, 2.0)
        for angle in (0.0, 10.0, -7.5, 90.0)
        for mirrored in (False, True)
    ),
]


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_a_plane_stays_the_plane_of_its_normals(view: View) -> None:
    near = torch.from_numpy(inverse_depth(NORMAL, FOCAL, (HEIGHT, WIDTH)))
    flat = torch.from_numpy(np.tile(NORMAL[:, None, None], (1, HEIGHT, WIDTH)))
    after = look({"near": near, "normals": flat}, {"near": Map(), "normals": Normals()}, view)
    expected = inverse_depth(turned(NORMAL, view), FOCAL / view.step, view.size)
    if view.step <= 1:
        inner = (slice(1, -1), slice(1, -1))  # half a pixel at the border is not interpolated
        assert np.allclose(after["near"].numpy()[inner], expected[inner], atol=1e-12)
    directions = after["normals"].numpy()
    assert np.allclose(directions, turned(NORMAL, view)[:, None, None], atol=1e-12)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_mirrors_and_quarter_turns_move_every_pixel_exactly(quarters: int, mirrored: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand(1, 16, 16, generator=generator) + 1
    image = torch.rand(3, 16, 16, generator=generator)
    classes = torch.randint(-1, 5, (16, 16), generator=generator)
    view = View.of((16, 16), (16, 16), (0.5, 0.5), 1, 90.0 * quarters, mirrored)

    def moved(values: Tensor) -> Tensor:
        values = torch.rot90(values, -quarters, (-2, -1))  # torch turns the other way
        return values.flip(-1) if mirrored else values

    batch = Batch(image[None], {"depth": depth[None], "classes": classes[None]})
    after = seen(batch, named({"depth": Depth(), "classes": Classes(5)}), [view])
    assert torch.equal(after.targets["classes"][0], moved(classes))
    assert torch.allclose(after.targets["depth"][0], moved(depth), rtol=1e-6)
    assert torch.allclose(after.inputs[0], moved(image), atol=1e-5)


def test_depth_is_divided_and_disparity_multiplied_by_the_zoom() -> None:
    depth = torch.arange(1.0, 65.0).reshape(1, 8, 8)
    view = View.of((8, 8), (8, 8), (0.5, 0.5), 2.0)
    after = look({"d": depth, "p": depth}, {"d": Depth(), "p": Disparity(1.0)}, view)
    middle = depth[:, 2:6, 2:6].repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(after["d"], middle / 2)
    assert torch.equal(after["p"], middle * 2)


def test_a_square_cut_and_a_smaller_picture_leave_depths_alone() -> None:
    depth = torch.arange(1.0, 97.0).reshape(1, 8, 12)
    square = View.whole((8, 12), (8, 8))
    assert torch.equal(look({"d": depth}, {"d": Depth()}, square)["d"], depth[..., 2:10])
    half = View.whole((8, 12), (4, 6))
    assert (half.step, half.zoom) == (2, 1)
    assert torch.equal(look({"d": depth}, {"d": Depth()}, half)["d"], depth[:, 1::2, 1::2])


@pytest.mark.parametrize("angle", [0.0, 15.0])
def test_what_touches_no_label_has_no_label(angle: float) -> None:
    known = torch.ones(16, 16, dtype=torch.bool)
    known[5:8, 6:9] = False
    normals = torch.zeros(3, 16, 16)
    normals[:, known] = torch.tensor([0.6, 0.0, -0.8])[:, None]
    targets = {
        "n": normals,
        "m": torch.where(known, 0.5, torch.nan),
        "d": known.float()[None],
        "c": torch.where(known, 3, -1),
    }
    kinds: dict[str, Kind] = {"n": Normals(), "m": Map(), "d": Depth(), "c": Classes(5)}
    after = look(targets, kinds, View.of((16, 16), (16, 16), (0.5, 0.5), 1.3, angle))
    length = after["n"].norm(dim=0)
    assert torch.allclose(length[length > 0], torch.ones(()), atol=1e-6)
    assert 0 < (length == 0).sum() < 60
    assert torch.equal(after["m"].isnan(), length == 0)
    assert torch.equal(after["c"] == -1, after["d"][0] == 0)
    # nearest loses less than interpolation does, and both lose the hole
    assert (length[after["c"] == -1] == 0).all()
    assert after["m"].nan_to_num(0.5).allclose(torch.tensor(0.5))


def test_opposite_normals_have_no_direction_between_them() -> None:
    normals = torch.zeros(3, 4, 4)
    normals[2, :, :2], normals[2, :, 2:] = -1, 1
    after = look({"n": normals}, {"n": Normals()}, View((1, 1), (2.0, 2.0), 1.5))
    assert not after["n"].any()


def test_shrunk_pictures_are_averaged_and_labels_are_picked() -> None:
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[..., ::2] = 1
    batch = Batch(stripes, {"c": torch.arange(16).repeat(1, 16, 1) % 2})
    after = seen(batch, named({"c": Classes(2)}), [View.whole((16, 16), (4, 4))])
    assert after.inputs[..., 1:3].allclose(torch.tensor(0.5), atol=0.1)
    assert after.targets["c"].unique().numel() == 1


@pytest.mark.parametrize("protocol", [MTAN, AUXNAS, Protocol((0.5, 1.0), degrees=45)], ids=str)
def test_views_stay_inside_and_come_from_the_generator(protocol: Protocol) -> None:
    rng = np.random.default_rng(0)
    views = [View.draw((24, 32), (24, 24), protocol, rng) for _ in range(300)]
    for view in views:
        angle = math.radians(view.angle)
        for down in (-12, 12):
            for right in (-12, 12):
                x = (math.cos(angle) * right + math.sin(angle) * down) * view.step
                y = (math.cos(angle) * down - math.sin(angle) * right) * view.step
                assert -1e-6 <= view.centre[0] + y <= 24 + 1e-6
                assert -1e-6 <= view.centre[1] + x <= 32 + 1e-6
    zooms = {round(view.zoom, 6) for view in views}
    assert zooms == {1.0, 1.2, 1.5} if protocol is MTAN else min(zooms) >= 1
    assert 100 < sum(view.mirrored for view in views) < 200
    again = np.random.default_rng(0)
    assert views == [View.draw((24, 32), (24, 24), protocol, again) for _ in range(300)]


def test_without_a_generator_the_middle_is_seen() -> None:
    batch = Batch(torch.arange(3 * 4 * 8.0).reshape(1, 3, 4, 8), {"s": torch.tensor([2])})
    same = augmented(batch, named({"s": Label(3)}), (4, 8), MTAN, None)
    assert same is batch
    after = augmented(batch, named({"s": Label(3)}), (4, 4), MTAN, None)
    assert torch.equal(after.inputs, batch.inputs[..., 2:6])
    assert after.targets["s"].tolist() == [2]


def test_aux_nas_zooms_three_and_turns_two_of_ten_pictures() -> None:
    rng = np.random.default_rng(0)
    views = [View.draw((224, 224), (224, 224), AUXNAS, rng) for _ in range(4000)]
    turned = [view for view in views if view.angle]
    assert abs(len(turned) / 4000 - 0.2) < 0.02
    assert abs(np.mean([view.mirrored for view in views]) - 0.5) < 0.03
    assert all(abs(view.angle) <= 10 for view in turned)
    plain = [view for view in views if not view.angle]
    sides = np.array([1 / view.zoom for view in plain if view.zoom > 1])
    assert abs(len(sides) / len(plain) - 0.3) < 0.03
    # The side is drawn from two thirds to all of the picture's.
    assert sides.min() > 2 / 3 - 1e-9
    assert abs(sides.mean() - 5 / 6) < 0.01


@pytest.mark.parametrize("size", [(12, 16), (16, 16), (13, 11)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_shrinking_and_placing_in_one_step_is_one_after_the_other(
    size: tuple[int, int], mirrored: bool
) -> None:
    """The weights are multiplied first; pictures agree with two steps of torch to rounding."""
    values = torch.from_numpy(np.random.default_rng(0).random((3, HEIGHT, WIDTH)))
    view = View.of((HEIGHT, WIDTH), size, (0.3, 0.8), 1.1, 0.0, mirrored)
    assert view.step > 1
    small = (round(HEIGHT / view.step), round(WIDTH / view.step))
    shrunk = functional.interpolate(values[None], small, mode="bilinear", antialias=True)
    v, u = (
        (torch.arange(count) + 0.5 - count / 2) * view.step * way + centre
        for count, centre, way in zip(size, view.centre, (1, -1 if mirrored else 1), strict=True)
    )
    places = torch.stack(
        torch.meshgrid(2 * u / WIDTH - 1, 2 * v / HEIGHT - 1, indexing="xy"), -1
    ).double()
    expected = functional.grid_sample(
        shrunk, places[None], padding_mode="border", align_corners=False
    )[0]
    assert torch.allclose(smooth(values, view), expected, atol=1e-6)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("step", [0.4, 0.83, 0.97, 0.99, 2.9, 2.99])
def test_columns_in_blocks_are_the_sums_of_their_taps(step: float, mirrored: bool) -> None:
    rng = np.random.default_rng(0)
    for count in range(1, 260, 13):
        places = rng.random() * 3 + step * (np.arange(count) + 0.5)
        length = int(places[-1]) + 2
        small = round(length / max(step, 1))
        elements, weights = taps(places[::-1] if mirrored else places, length, small)
        picture = torch.from_numpy(rng.random((4, length)))
        across = ColumnTaps(elements, weights, mirrored, torch.float64)
        rows = picture[:, across.first : across.last]
        rows = functional.pad(rows.flip(1) if mirrored else rows, (0, across.wide - rows.shape[1]))
        out = torch.empty(4, count, dtype=torch.float64)
        across(rows, 1.0, out)
        expected = (picture.numpy()[:, elements] * weights).sum(-1) + 1
        assert np.allclose(out.numpy(), expected, atol=1e-12), count


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("angle", [0.0, 8.0])
def test_stored_labels_are_seen_as_decoded_ones_are(angle: float, known: bool) -> None:
    rng = np.random.default_rng(1)
    views = [
        View.of((48, 64), (40, 50), (0.3, 0.6), zoom, angle, mirrored)
        for zoom in (1.0, 1.3)
        for mirrored in (False, True)
    ]
    normals = rng.integers(20, 120, (4, 3, 48, 64)).astype(np.int8)
    normals[:, :, 10:14, 20:30] *= known
    stored: list[tuple[Kind, npt.NDArray[np.generic]]] = [
        (Classes(5), rng.integers(-1, 5, (4, 48, 64)).astype(np.int8)),
        (Depth(far=6), rng.integers(0, 40000, (4, 48, 64)).astype(np.uint16)),
        (Disparity(100.0), rng.integers(0, 4000, (4, 48, 64)).astype(np.uint16)),
        (Normals(), normals),
        (Map(), rng.integers(0, 65535, (4, 48, 64)).astype(np.uint16)),
    ]
    for kind, labels in stored:
        decoded = kind.decode(labels)
        whole = torch.stack(
            [kind.seen(one, view) for one, view in zip(decoded, views, strict=True)]
        )
        found = kind.stored_seen(list(labels), views)
        assert found.dtype == whole.dtype
        assert torch.allclose(found, whole, atol=1e-5, equal_nan=True), type(kind).__name__


def test_a_kind_that_sees_in_its_own_way_does_so_from_stored_labels() -> None:
    class Zeroed(Classes):
        def seen(self, target: Tensor, view: View) -> Tensor:
            return super().seen(target, view) * 0

    view = View.of((8, 8), (8, 8), (0.5, 0.5), 1.5)
    assert not Zeroed(3).stored_seen(np.ones((1, 8, 8), np.int8), [view]).any()
    assert Classes(3).stored_seen(np.ones((1, 8, 8), np.int8), [view]).all()
