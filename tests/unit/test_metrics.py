"""Metrics: right over a split however it is batched, and best for a perfect prediction."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from auxbench import metrics
from auxbench.metrics import Metric

Floats = npt.NDArray[np.float64]
NAN = math.nan
N, CLASSES = 11, 5


def classes(dense: bool) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(3)
    shape = (N, 6, 7) if dense else (N * 8,)
    target = torch.randint(0, CLASSES, shape, generator=rng)
    target[target == 3] = 2  # class 3 is never true, though it is predicted
    scores = torch.randn((shape[0], CLASSES, *shape[1:]), generator=rng)
    scores += 1.5 * torch.nn.functional.one_hot(target, CLASSES).movedim(-1, 1)
    return scores, target.masked_fill(torch.rand(shape, generator=rng) < 0.2, -1)


def depths() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(4)
    target = torch.rand((N, 6, 7), generator=rng) * 5 + 0.5
    prediction = target * (1 + 0.3 * torch.randn(target.shape, generator=rng))
    return prediction[:, None], target.masked_fill(torch.rand((N, 6, 7), generator=rng) < 0.2, 0)


def normals() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(5)
    target = torch.nn.functional.normalize(torch.randn((N, 3, 6, 7), generator=rng), dim=1)
    prediction = 4 * target + 2 * torch.randn(target.shape, generator=rng)
    missing = torch.rand((N, 1, 6, 7), generator=rng) < 0.2
    return prediction, target.masked_fill(missing, 0)


def numbers() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(6)
    prediction, target = torch.randn((2, N, 4), generator=rng)
    return prediction, target.masked_fill(torch.rand((N, 4), generator=rng) < 0.2, NAN)


def labelled(prediction: Tensor, target: Tensor) -> tuple[list[int], list[int]]:
    guess = prediction.numpy().argmax(1).ravel().tolist()
    pairs = zip(guess, target.numpy().ravel().tolist(), strict=True)
    kept = [(a, b) for a, b in pairs if b != -1]
    return [a for a, _ in kept], [b for _, b in kept]


def miou(prediction: Tensor, target: Tensor) -> float:
    guess, truth = labelled(prediction, target)
    scores = []
    for c in range(CLASSES):
        found = {i for i, a in enumerate(guess) if a == c}
        true = {i for i, b in enumerate(truth) if b == c}
        if found | true:
            scores.append(len(found & true) / len(found | true))
    return 100 * sum(scores) / len(scores)


def right(prediction: Tensor, target: Tensor) -> float:
    guess, truth = labelled(prediction, target)
    return 100 * sum(a == b for a, b in zip(guess, truth, strict=True)) / len(truth)


def recall(prediction: Tensor, target: Tensor) -> float:
    guess, truth = labelled(prediction, target)
    scores = []
    for c in set(truth):
        hits = [a == c for a, b in zip(guess, truth, strict=True) if b == c]
        scores.append(sum(hits) / len(hits))
    return 100 * sum(scores) / len(scores)


def of_depths(value: Callable[[Floats, Floats], float]) -> Callable[[Tensor, Tensor], float]:
    def reference(prediction: Tensor, target: Tensor) -> float:
        p, t = prediction[:, 0].double().numpy(), target.double().numpy()
        return float(value(p[t > 0], t[t > 0]))

    return reference


def of_angles(value: Callable[[Floats], float]) -> Callable[[Tensor, Tensor], float]:
    def reference(prediction: Tensor, target: Tensor) -> float:
        p, t = (x.double().movedim(1, -1).reshape(-1, 3).numpy() for x in (prediction, target))
        angles = [
            math.degrees(math.acos(np.dot(a, b) / math.hypot(*a) / math.hypot(*b)))
            for a, b in zip(p, t, strict=True)
            if b.any()
        ]
        return float(value(np.array(angles)))

    return reference


def absolute(prediction: Tensor, target: Tensor) -> float:
    return float(np.nanmean(np.abs(prediction.double().numpy() - target.double().numpy())))


Make = Callable[[], Metric]
Data = Callable[[], tuple[Tensor, Tensor]]
Reference = Callable[[Tensor, Tensor], float]
vector, dense = partial(classes, False), partial(classes, True)
CASES: dict[str, tuple[Make, str, Data, Reference]] = {
    "miou": (partial(metrics.MeanIoU, CLASSES), "%", dense, miou),
    "pixel-accuracy": (partial(metrics.PixelAccuracy, CLASSES), "%", dense, right),
    "accuracy": (metrics.Accuracy, "%", vector, right),
    "balanced-accuracy": (partial(metrics.BalancedAccuracy, CLASSES), "%", vector, recall),
    "abs": (metrics.DepthAbs, "m", depths, of_depths(lambda p, t: np.abs(p - t).mean())),
    "rel": (metrics.DepthRel, "%", depths, of_depths(lambda p, t: (100 * abs(p - t) / t).mean())),
    "rmse": (metrics.DepthRMSE, "m", depths, of_depths(lambda p, t: ((p - t) ** 2).mean() ** 0.5)),
    "delta1.25": (
        metrics.Delta125,
        "%",
        depths,
        of_depths(lambda p, t: 100 * (np.maximum(p / t, t / p) < 1.25).mean()),
    ),
    "mean-angle": (metrics.NormalsMean, "°", normals, of_angles(np.mean)),
    "median-angle": (metrics.NormalsMedian, "°", normals, of_angles(np.median)),
    "rmse-angle": (metrics.NormalsRMSE, "°", normals, of_angles(lambda a: (a**2).mean() ** 0.5)),
    "within11.25": (
        partial(metrics.Within, 11.25),
        "%",
        normals,
        of_angles(lambda a: 100 * (a < 11.25).mean()),
    ),
    "within22.5": (
        partial(metrics.Within, 22.5),
        "%",
        normals,
        of_angles(lambda a: 100 * (a < 22.5).mean()),
    ),
    "within30": (
        partial(metrics.Within, 30),
        "%",
        normals,
        of_angles(lambda a: 100 * (a < 30).mean()),
    ),
    "l1": (metrics.L1Error, "", numbers, absolute),
}
GAINS = {name for name, entry in CASES.items() if entry[1] == "%"} - {"rel"}


def score(metric: Metric, prediction: Tensor, target: Tensor) -> float:
    metric.reset()
    metric.update(prediction, target)
    return metric.compute()


def perfect(data: Data) -> tuple[Tensor, Tensor]:
    prediction, target = data()
    if not target.is_floating_point():
        scores = torch.nn.functional.one_hot(target.clamp(min=0), CLASSES).movedim(-1, 1)
        return scores.float(), target
    if target.ndim < prediction.ndim:
        return target[:, None], target
    return target.nan_to_num(), target


@pytest.mark.parametrize("name", CASES)
def test_the_definition(name: str) -> None:
    make, unit, data, reference = CASES[name]
    metric = make()
    tolerance = 0.005 if name == "median-angle" else 1e-4
    assert score(metric, *data()) == pytest.approx(reference(*data()), abs=tolerance)
    assert (metric.name, metric.unit) == (name, unit)
    assert metric.version >= 1


@pytest.mark.parametrize("name", CASES)
def test_batches_of_any_size_and_order_give_the_same(name: str) -> None:
    make, _, data, _ = CASES[name]
    prediction, target = data()
    whole, parts = make(), make()
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    for rows in (order[:4], order[4:7], order[7:10], order[10:]):
        parts.update(prediction[rows], target[rows])
    assert parts.compute() == pytest.approx(score(whole, prediction, target), rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_perfect_prediction_scores_best(name: str) -> None:
    make, _, data, _ = CASES[name]
    metric = make()
    best = score(metric, *perfect(data))
    assert best == pytest.approx(100 if name in GAINS else 0, abs=1e-4)
    assert metric.direction == ("up" if name in GAINS else "down")
    other = score(metric, *data())
    assert other < best if name in GAINS else other > best


@pytest.mark.parametrize("name", CASES)
def test_no_label_gives_no_number_and_adds_nothing(name: str) -> None:
    make, _, data, _ = CASES[name]
    prediction, target = data()
    nothing = torch.full_like(target, NAN if name == "l1" else 0)
    if not target.is_floating_point():
        nothing = torch.full_like(target, -1)
    metric = make()
    assert math.isnan(metric.compute())
    assert math.isnan(score(metric, prediction, nothing))
    metric.update(prediction, target)
    assert metric.compute() == score(make(), prediction, target)


@pytest.mark.parametrize("name", CASES)
def test_half_precision_predictions_with_a_graph(name: str) -> None:
    make, _, data, _ = CASES[name]
    prediction, target = data()
    half = prediction.bfloat16()
    found = score(make(), half.clone().requires_grad_(), target)
    assert found == score(make(), half.float(), target)


@pytest.mark.parametrize("name", ["miou", "pixel-accuracy", "accuracy", "balanced-accuracy"])
def test_scores_that_are_no_number_are_wrong(name: str) -> None:
    make, _, data, _ = CASES[name]
    prediction, target = data()
    assert score(make(), torch.full_like(prediction, NAN), target) == 0


@pytest.mark.parametrize("name", ["abs", "rel", "rmse", "mean-angle", "rmse-angle", "l1"])
def test_a_prediction_that_is_no_number_spoils_the_mean(name: str) -> None:
    make, _, data, _ = CASES[name]
    prediction, target = data()
    assert math.isnan(score(make(), torch.full_like(prediction, NAN), target))


def test_miou_leaves_out_only_classes_that_occur_nowhere() -> None:
    target = torch.tensor([[[0, 0, 1, -1]]])
    metric = metrics.MeanIoU(4)
    scores = torch.nn.functional.one_hot(torch.tensor([[[0, 0, 1, 3]]]), 4).movedim(-1, 1)
    assert score(metric, scores, target) == 100  # 3 is predicted where there is no label
    scores = torch.nn.functional.one_hot(torch.tensor([[[0, 2, 1, 1]]]), 4).movedim(-1, 1)
    assert score(metric, scores, target) == pytest.approx(100 * (1 / 2 + 1 + 0) / 3)


def test_balanced_accuracy_of_a_guess_is_one_over_the_classes() -> None:
    target = torch.tensor([0] * 97 + [1, 2, 3])
    scores = torch.tensor([1.0, 0, 0, 0]).expand(100, 4)
    assert score(metrics.BalancedAccuracy(4), scores, target) == 25
    assert score(metrics.Accuracy(), scores, target) == pytest.approx(97)


def test_a_negative_depth_is_not_close() -> None:
    prediction = torch.tensor([-2.0, 0.0, 2.0]).reshape(1, 1, 1, 3)
    target = torch.full((1, 1, 3), 2.0)
    assert score(metrics.Delta125(), prediction, target) == pytest.approx(100 / 3)


@pytest.mark.parametrize("angle", [0.02, 1, 90, 135, 179.98, 180])
def test_angles_are_exact_in_single_precision(angle: float) -> None:
    radians = math.radians(angle)
    target = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
    found = torch.tensor([math.sin(radians), 0.0, math.cos(radians)]).reshape(1, 3, 1, 1)
    for metric in (metrics.NormalsMean(), metrics.NormalsMedian()):
        assert score(metric, 1e-6 * found, target) == pytest.approx(angle, abs=1e-4)


def test_a_predicted_normal_without_direction_is_a_right_angle_off() -> None:
    _, target = normals()
    assert score(metrics.NormalsMean(), torch.zeros_like(target), target) == 90


def test_the_median_of_an_even_number_is_the_middle_of_two() -> None:
    radians = torch.tensor([10.0, 20.0, 40.0, 170.0]).deg2rad()
    found = torch.stack([radians.sin(), 0 * radians, radians.cos()])[None, :, None]
    target = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1).expand_as(found)
    metric = metrics.NormalsMedian()
    metric.update(found, target)
    assert metric.compute() == pytest.approx(30)
    metric.update(found[..., :1], target[..., :1])
    assert metric.compute() == pytest.approx(20)


@pytest.mark.parametrize("name", CASES)
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    make, _, data, _ = CASES[name]
    prediction, target = data()
    with pytest.raises(ValueError, match="does not fit"):
        make().update(prediction, target[:-1])


@pytest.mark.parametrize("name", ["miou", "pixel-accuracy", "balanced-accuracy"])
def test_classes_that_do_not_exist_are_refused(name: str) -> None:
    make, _, data, _ = CASES[name]
    prediction, target = data()
    for wrong in (CLASSES, 255, -100):
        with pytest.raises(ValueError, match="outside 0"):
            make().update(prediction, target.masked_fill(target == 0, wrong))
    with pytest.raises(ValueError, match="6 classes are predicted, not 5"):
        make().update(torch.cat([prediction, prediction[:, :1]], 1), target)
