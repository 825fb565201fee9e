"""Losses: right numbers per sample, and nothing at all where there is no label."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from auxbench.data.losses import cross_entropy, depth_l1, l1, normals_cosine

Case = tuple[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], Tensor, Tensor, Tensor]
NAN, INF = math.nan, math.inf


def case(name: str) -> Case:
    """A loss, a float64 prediction, a target, and which targets are missing (of its shape)."""
    rng = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng, dtype=torch.float64)

    missing = torch.rand((3, 4, 5), generator=rng) < 0.3
    missing[2] = True  # a sample without any label
    if name == "class":
        return cross_entropy, draw(3, 6), torch.tensor([5, 0, -1]), torch.arange(3) == 2
    if name == "classes":
        target = torch.randint(0, 6, (3, 4, 5), generator=rng).masked_fill(missing, -1)
        return cross_entropy, draw(3, 6, 4, 5), target, missing
    if name == "depth":
        target = draw(3, 4, 5).abs().add(0.1).masked_fill(missing, 0)
        return depth_l1, draw(3, 1, 4, 5), target, missing
    if name == "normals":
        target = torch.nn.functional.normalize(draw(3, 3, 4, 5), dim=1)
        target = target.masked_fill(missing[:, None], 0)
        return normals_cosine, draw(3, 3, 4, 5), target, missing[:, None].expand_as(target)
    if name == "map":
        return l1, draw(3, 1, 4, 5), draw(3, 4, 5).masked_fill(missing, NAN), missing
    target, missing = draw(3, 2), torch.tensor([[False, False], [True, False], [True, True]])
    return l1, draw(3, 2), target.masked_fill(missing, NAN), missing


NAMES = ["class", "classes", "depth", "normals", "map", "vector"]


def by_hand(name: str, prediction: Tensor, target: Tensor) -> tuple[list[float], list[int]]:
    """The same sums and counts, one element at a time in plain Python."""
    sums, counts = [0.0] * len(target), [0] * len(target)
    guess, truth = prediction.tolist(), target.tolist()

    def add(sample: int, value: float) -> None:
        sums[sample] += value
        counts[sample] += 1

    def surprise(scores: list[float], label: int) -> float:
        return math.log(sum(map(math.exp, scores))) - scores[label]

    for i in range(len(target)):
        if name == "class" and truth[i] >= 0:
            add(i, surprise(guess[i], truth[i]))
        if name == "vector":
            for a, b in zip(guess[i], truth[i], strict=True):
                if b == b:
                    add(i, abs(a - b))
        if name in ("class", "vector"):
            continue
        for y in range(4):
            for x in range(5):
                column = [channel[y][x] for channel in guess[i]]
                if name == "normals":
                    goal = [channel[y][x] for channel in truth[i]]
                    if any(goal):
                        dot = sum(a * b for a, b in zip(column, goal, strict=True))
                        add(i, 1 - dot / math.hypot(*column) / math.hypot(*goal))
                    continue
                label = truth[i][y][x]
                if name == "classes" and label >= 0:
                    add(i, surprise(column, label))
                if (name == "depth" and label > 0) or (name == "map" and label == label):
                    add(i, abs(column[0] - label))
    return sums, counts


@pytest.mark.parametrize("name", NAMES)
def test_sums_and_counts_of_every_sample(name: str) -> None:
    loss, prediction, target, _ = case(name)
    sums, counts = loss(prediction, target)
    expected, number = by_hand(name, prediction, target)
    assert sums.tolist() == pytest.approx(expected, rel=1e-12)
    assert counts.tolist() == number
    assert number[2] == 0 < number[0]
    assert sums.dtype == counts.dtype == torch.float64


@pytest.mark.filterwarnings("ignore:`torch.jit.script:FutureWarning")  # by torch itself
@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_derivatives(name: str) -> None:
    loss, prediction, target, _ = case(name)
    prediction.requires_grad_()

    def sums(values: Tensor) -> Tensor:
        return loss(values, target)[0]

    assert torch.autograd.gradcheck(sums, (prediction,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(sums, (prediction,))


@pytest.mark.parametrize("name", NAMES)
def test_missing_labels_send_no_gradient(name: str) -> None:
    loss, prediction, target, missing = case(name)
    prediction.requires_grad_()
    loss(prediction, target)[0].sum().backward()
    gradient = prediction.grad
    assert gradient is not None
    where = missing if missing.ndim == prediction.ndim else missing.unsqueeze(1)
    where = where.expand_as(prediction)
    assert (gradient[where] == 0).all()
    assert (gradient[~where] != 0).all()


@pytest.mark.parametrize(
    ("name", "garbage"),
    [("depth", NAN), ("depth", -7.0), ("depth", INF), ("normals", NAN), ("normals", INF)],
)
def test_garbage_in_place_of_a_label_is_a_missing_label(name: str, garbage: float) -> None:
    loss, prediction, target, missing = case(name)
    spoiled = target.masked_fill(missing, garbage)
    clean = prediction.clone().requires_grad_()
    prediction.requires_grad_()
    loss(clean, target)[0].sum().backward()
    sums, counts = loss(prediction, spoiled)
    sums.sum().backward()
    assert torch.equal(sums, loss(clean, target)[0])
    assert torch.equal(counts, loss(clean, target)[1])
    assert prediction.grad is not None and clean.grad is not None
    assert torch.equal(prediction.grad, clean.grad)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_samples(name: str) -> None:
    loss, prediction, target, _ = case(name)
    whole = loss(prediction, target)
    pieces = [loss(prediction[i : i + 1], target[i : i + 1]) for i in range(3)]
    assert torch.equal(whole[0], torch.cat([sums for sums, _ in pieces]))
    assert torch.equal(whole[1], torch.cat([counts for _, counts in pieces]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(name: str, dtype: torch.dtype) -> None:
    loss, prediction, target, _ = case(name)
    target = target.float() if target.is_floating_point() else target
    half = prediction.to(dtype)
    for autocast in (True, False):
        with torch.autocast("cpu", dtype, enabled=autocast):
            sums, counts = loss(half, target)
        assert sums.dtype == counts.dtype == torch.float32
        assert torch.equal(sums, loss(half.float(), target)[0])


def test_a_large_map_does_not_overflow_half_precision() -> None:
    sums, _ = depth_l1(
        torch.zeros(1, 1, 300, 300, dtype=torch.float16), torch.full((1, 300, 300), 10.0)
    )
    assert sums.item() == 900_000


def test_targets_may_have_the_channel_axis() -> None:
    _, prediction, target, _ = case("depth")
    assert torch.equal(depth_l1(prediction, target)[0], depth_l1(prediction, target[:, None])[0])
    assert l1(torch.zeros(2, 1), torch.tensor([3.0, NAN]))[0].tolist() == [3, 0]


def test_normals_need_not_have_unit_length() -> None:
    _, prediction, target, _ = case("normals")
    sums, _ = normals_cosine(prediction, target)
    torch.testing.assert_close(normals_cosine(7 * prediction, 3 * target)[0], sums)


def test_a_zero_normal_is_led_towards_the_target() -> None:
    target = torch.tensor([0.6, 0.0, 0.8]).reshape(1, 3, 1, 1)
    prediction = torch.zeros(1, 3, 1, 1, requires_grad=True)
    sums, _ = normals_cosine(prediction, target)
    assert sums.item() == 1
    (gradient,) = torch.autograd.grad(sums.sum(), prediction, create_graph=True)
    assert gradient.isfinite().all() and gradient.norm() <= 1001
    assert normals_cosine(-gradient.detach(), target)[0].item() == pytest.approx(0, abs=1e-6)
    (second,) = torch.autograd.grad(gradient.square().sum(), prediction)
    assert second.isfinite().all()


@pytest.mark.parametrize("loss", [depth_l1, l1, normals_cosine])
def test_a_target_of_another_shape_is_not_broadcast(
    loss: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        loss(torch.ones(2, 3, 4, 5), torch.ones(2, 3, 4, 1))


def test_a_class_that_does_not_exist_is_refused() -> None:
    with pytest.raises((IndexError, RuntimeError)):
        cross_entropy(torch.zeros(1, 4), torch.tensor([255]))
