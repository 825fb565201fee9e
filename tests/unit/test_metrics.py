"""Metrics: right over a split however it is batched, and best for a perfect prediction."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchmetrics
from scipy.spatial import distance
from torch import Tensor
from torchmetrics import classification

from auxbench.data import metrics
from auxbench.data.metrics import Metric

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


def closeness(limit: float) -> Callable[[Floats, Floats], float]:
    return lambda p, t: 100 * (np.maximum(p / t, t / p) < limit).mean()


def coloured(normal: Floats) -> Floats:
    """The colour of a normal in NDDR-CNN's pictures, before it is rounded to whole numbers."""
    x, y, z = normal / math.hypot(*normal)
    return np.array([x + 1, z + 1, -y + 1]) * 127.5


def of_angles(
    value: Callable[[Floats], float], raw: bool = False
) -> Callable[[Tensor, Tensor], float]:
    def reference(prediction: Tensor, target: Tensor) -> float:
        p, t = (x.double().movedim(1, -1).reshape(-1, 3).numpy() for x in (prediction, target))
        pairs = [(a, b) for a, b in zip(p, t, strict=True) if b.any()]
        if raw:
            pairs = [(coloured(a), coloured(b)) for a, b in pairs]
        angles = [math.degrees(math.acos(1 - distance.cosine(a, b))) for a, b in pairs]
        return float(value(np.array(angles)))

    return reference


def among(k: int) -> Callable[[Tensor, Tensor], float]:
    def reference(prediction: Tensor, target: Tensor) -> float:
        best = np.argsort(-prediction.numpy(), axis=1)[:, :k]
        known = target.numpy() != -1
        return float(100 * (best == target.numpy()[:, None]).any(1)[known].mean())

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
    "top2-accuracy": (partial(metrics.TopK, 2), "%", vector, among(2)),
    "delta1.25": (metrics.Delta125, "%", depths, of_depths(closeness(1.25))),
    "delta1.25^2": (partial(metrics.Delta125, 2), "%", depths, of_depths(closeness(1.5625))),
    "delta1.25^3": (partial(metrics.Delta125, 3), "%", depths, of_depths(closeness(1.953125))),
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
    "raw-rgb-mean-angle": (
        partial(metrics.NormalsMean, raw=True),
        "°",
        normals,
        of_angles(np.mean, raw=True),
    ),
    "raw-rgb-median-angle": (
        partial(metrics.NormalsMedian, raw=True),
        "°",
        normals,
        of_angles(np.median, raw=True),
    ),
    "raw-rgb-rmse-angle": (
        partial(metrics.NormalsRMSE, raw=True),
        "°",
        normals,
        of_angles(lambda a: (a**2).mean() ** 0.5, raw=True),
    ),
    "raw-rgb-within11.25": (
        partial(metrics.Within, 11.25, raw=True),
        "%",
        normals,
        of_angles(lambda a: 100 * (a < 11.25).mean(), raw=True),
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
    tolerance = 0.005 if name.endswith("median-angle") else 1e-4
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


def valid_of(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The labelled numbers, in the order and the type that torchmetrics takes."""
    prediction = prediction.reshape(target.shape)
    known = target > 0 if target.ndim == 3 else ~target.isnan()
    return prediction[known], target[known]


def whole(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return prediction, target


Pick = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
PEERS: dict[str, tuple[Callable[[], torchmetrics.Metric], Pick, float]] = {
    "miou": (
        partial(classification.MulticlassJaccardIndex, CLASSES, ignore_index=-1),
        whole,
        100,
    ),
    "pixel-accuracy": (
        partial(classification.MulticlassAccuracy, CLASSES, average="micro", ignore_index=-1),
        whole,
        100,
    ),
    "accuracy": (
        partial(classification.MulticlassAccuracy, CLASSES, average="micro", ignore_index=-1),
        whole,
        100,
    ),
    "top2-accuracy": (
        partial(
            classification.MulticlassAccuracy, CLASSES, top_k=2, average="micro", ignore_index=-1
        ),
        whole,
        100,
    ),
    "abs": (torchmetrics.MeanAbsoluteError, valid_of, 1),
    "rel": (torchmetrics.MeanAbsolutePercentageError, valid_of, 100),
    "rmse": (partial(torchmetrics.MeanSquaredError, squared=False), valid_of, 1),
    "l1": (torchmetrics.MeanAbsoluteError, valid_of, 1),
}


@pytest.mark.parametrize("name", PEERS)
def test_torchmetrics_agrees_with_a_smaller_last_batch(name: str) -> None:
    make, _, data, _ = CASES[name]
    make_peer, pick, scale = PEERS[name]
    metric, peer = make(), make_peer()
    for prediction, target in zip(*(tensor.split(3) for tensor in data()), strict=True):
        metric.update(prediction, target)
        peer.update(*pick(prediction, target))
    assert len(target) < 3
    assert metric.compute() == pytest.approx(scale * float(peer.compute()), rel=1e-5)


@pytest.mark.parametrize(
    "name", ["miou", "pixel-accuracy", "accuracy", "balanced-accuracy", "top2-accuracy"]
)
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


def test_equal_scores_earn_no_place_among_the_best() -> None:
    target = torch.arange(4)
    assert score(metrics.TopK(3), torch.zeros(4, 4), target) == 0
    assert score(metrics.TopK(4), torch.zeros(4, 4), target) == 100
    assert score(metrics.TopK(2), torch.tensor([4.0, 3, 2, 1]).expand(4, 4), target) == 50


@pytest.mark.parametrize("power", [1, 2, 3])
def test_a_negative_depth_is_not_close(power: int) -> None:
    prediction = torch.tensor([-2.0, 0.0, 2.0]).reshape(1, 1, 1, 3)
    target = torch.full((1, 1, 3), 2.0)
    assert score(metrics.Delta125(power), prediction, target) == pytest.approx(100 / 3)


def test_raw_angles_are_those_between_the_bytes_of_the_pictures() -> None:
    """As NDDR-CNN and Aux-NAS score: pictures of red = right, green = forward, blue = up."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(2):  # two pictures of 2,000 pixels that face the camera
        normals = rng.normal(size=(2000, 3))
        normals[:, 1] = -abs(normals[:, 1])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        pictures.append(np.round((normals + 1) * 127.5))
    expected = np.degrees(
        [math.acos(1 - distance.cosine(a, b)) for a, b in zip(*pictures, strict=True)]
    )
    found, target = (
        torch.tensor(picture[:, [0, 2, 1]] / 127.5 - 1)  # to x right, y down, z forward
        .mul(torch.tensor([1, -1, 1]))
        .T.reshape(1, 3, 40, 50)
        .float()
        for picture in pictures
    )
    assert score(metrics.NormalsMean(raw=True), found, target) == pytest.approx(
        expected.mean(), abs=0.05
    )
    assert score(metrics.NormalsMean(), found, target) > 1.5 * expected.mean()


def test_versions_and_names_tell_raw_angles_apart() -> None:
    makes = (metrics.NormalsMean, metrics.NormalsRMSE, metrics.NormalsMedian)
    assert {make(raw=True).name for make in makes}.isdisjoint({make().name for make in makes})
    assert metrics.Within(30, raw=True).name == "raw-rgb-within30"
    assert metrics.NormalsMean().name == "mean-angle"


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
