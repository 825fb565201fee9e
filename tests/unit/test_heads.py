"""Heads: predictions of the right shape, from maps that are worth their time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from auxbench.backbone import build
from auxbench.heads import FpnHead, VectorHead, head


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def maps(channels: list[int], widths: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, c, width, width, generator=generator)
        for c, width in zip(channels, widths, strict=True)
    ]


@pytest.mark.parametrize("side", [33, 50, 64])
@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_predictions_have_the_size_of_the_images(name: str, side: int) -> None:
    backbone = build(name, side)
    images = torch.randn(2, 3, side, side + 7, generator=torch.Generator().manual_seed(0))
    features = backbone(images)
    size = (side, side + 7)
    assert head(True, backbone, 5)(features, size).shape == (2, 5, *size)
    assert head(False, backbone, 5)(features, size).shape == (2, 5)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_a_head_reaches_all_of_the_backbone(name: str, dense: bool) -> None:
    backbone = build(name, 64)
    top = head(dense, backbone, 3)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    top(backbone(images), (64, 64)).square().mean().backward()
    for network in (backbone, top):
        assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_a_dense_head_leaves_out_maps_finer_than_four_pixels() -> None:
    top = FpnHead(channels=[8, 8, 16], reductions=[1, 2, 4], outputs=2)
    assert top.levels == [2]
    assert FpnHead(channels=[8, 8], reductions=[1, 2], outputs=2).levels == [0, 1]
    backbone = build("vgg11", 32)
    top = FpnHead([64, 128, 256, 512, 512], backbone.reductions, outputs=2)
    assert top.levels == [2, 3, 4]
    assert top(backbone(torch.zeros(2, 3, 32, 32)), (32, 32)).shape == (2, 2, 32, 32)


def test_a_dense_head_reads_every_map_that_it_keeps() -> None:
    top = FpnHead(channels=[4, 8, 8], reductions=[4, 8, 16], outputs=2, width=8).eval()
    features = maps([4, 8, 8], [8, 4, 2])
    with torch.no_grad():
        whole = top(features, (32, 32))
        for level in range(3):
            part = [feature * (index != level) for index, feature in enumerate(features)]
            assert not torch.allclose(top(part, (32, 32)), whole)


def test_a_dense_head_keeps_places() -> None:
    top = FpnHead(channels=[4, 4], reductions=[4, 8], outputs=1, width=32).eval()
    features = maps([4, 4], [16, 8])
    moved = [feature.clone() for feature in features]
    moved[0][:, :, 12:, 12:] += 10  # the lower right corner of the image
    moved[1][:, :, 6:, 6:] += 10
    with torch.no_grad():
        change = (top(moved, (64, 64)) - top(features, (64, 64))).abs()[:, 0]
    assert change[:, 52:, 52:].min() > 0
    assert change[:, :32, :32].max() == 0


def test_a_vector_head_is_a_linear_function_of_the_mean_of_the_last_map() -> None:
    top = VectorHead(channels=[4, 8], outputs=3)
    features = maps([4, 8], [8, 4])
    expected = features[1].mean(dim=(2, 3)) @ top.linear.weight.T + top.linear.bias
    assert torch.allclose(top(features, (32, 32)), expected, atol=1e-6)


@pytest.mark.parametrize("dense", [True, False])
def test_predictions_are_single_precision_under_autocast(dense: bool) -> None:
    backbone = build("test_resnet", 32)
    top = head(dense, backbone, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = top(backbone(torch.zeros(2, 3, 32, 32)), (32, 32))
    assert prediction.dtype == torch.float32
