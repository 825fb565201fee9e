"""Heads: predictions of the right shape, from maps that are worth their time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from auxbench.errors import UsageError
from auxbench.networks.backbone import build
from auxbench.networks.builder import Network
from auxbench.networks.heads import HEADS, DeepLabHead, DptHead, FpnHead, VectorHead, head, resolve
from auxbench.networks.mlp import blocks
from auxbench.spec import networks as catalogue
from auxbench.spec.grammar import options_of


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


@pytest.mark.parametrize("text", HEADS)
@pytest.mark.parametrize("side", [33, 50, 64])
@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_predictions_have_the_size_of_the_images(name: str, side: int, text: str) -> None:
    backbone = build(name, side)
    images = torch.randn(2, 3, side, side + 7, generator=torch.Generator().manual_seed(0))
    features = backbone(images)
    size = (side, side + 7)
    assert head(True, backbone, 5, text)(features, size).shape == (2, 5, *size)
    assert head(False, backbone, 5)(features, size).shape == (2, 5)


@pytest.mark.parametrize("text", [None, *HEADS])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_a_head_reaches_all_of_the_backbone(name: str, text: str | None) -> None:
    backbone = build(name, 64)
    top = head(True, backbone, 3, text) if text else head(False, backbone, 3)
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


def test_the_catalogue_has_every_head_with_its_options() -> None:
    assert list(catalogue.HEADS) == list(HEADS)
    for name, maker in HEADS.items():
        for option in options_of(maker):
            assert option in catalogue.HEADS[name]


def reached(top: torch.nn.Module, stages: int, channels: int, cells: int) -> int:
    """Measure the receptive field on the last map, in cells."""
    features = [torch.randn(1, channels, cells, cells, requires_grad=True) for _ in range(stages)]
    prediction = top.eval()(features, (cells, cells))
    prediction[0, 0, cells // 2, cells // 2].backward()
    columns = features[-1].grad[0].abs().sum((0, 1)) > 1e-12  # type: ignore[index]
    return int(columns.nonzero().max() - columns.nonzero().min()) + 1


def test_atrous_heads_reach_as_far_as_the_paper_says() -> None:
    # 12 cells of 8 pixels to each side, 1 for the pooling; the predictions are not enlarged.
    top = HEADS["largefov"]([4], [8], 1)
    assert reached(top, 1, 4, 61) == 2 * (12 + 1) + 1
    assert reached(HEADS["largefov"]([4], [16], 1), 1, 4, 61) == 2 * (6 + 1) + 1
    top = DeepLabHead([4], [8], 1, reach=24)
    rates = [layer.dilation[0] for layer in top.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert sorted(set(rates)) == [1, 3, 6, 9]


def test_dpt_makes_a_pyramid_of_equal_maps_and_keeps_one_that_is_there() -> None:
    flat = DptHead([8] * 4, [16] * 4, outputs=2, width=8)
    widths = [layer(torch.zeros(1, 8, 4, 4)).shape[-1] for layer in flat.laterals]
    assert widths == [2, 4, 8, 16]
    pyramid = DptHead([8] * 4, [4, 8, 16, 32], outputs=2, width=8)
    widths = [layer(torch.zeros(1, 8, 4, 4)).shape[-1] for layer in pyramid.laterals]
    assert widths == [4] * 4


@pytest.mark.parametrize("text", HEADS)
def test_a_head_can_learn_where_something_is(text: str) -> None:
    """Some steps bring the loss on a batch of squares far down."""
    images = torch.zeros(4, 3, 64, 64)
    for place in range(4):
        images[place, :, 16 * place :, : 16 + 12 * place] = 1
    target = images[:, 0].long()
    backbone = build("test_resnet:output_stride=8", 64)
    assert backbone.reductions == (4, 8, 8, 8)
    network = Network(backbone, head(True, backbone, 2, text))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(network(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


@pytest.mark.parametrize("maker", [*HEADS.values(), blocks])
def test_options_explain_themselves(maker: Callable[..., object]) -> None:
    options = options_of(maker)
    assert options
    assert all(option.help.endswith(".") for option in options.values())


def test_spellings_and_refusals() -> None:
    assert resolve("deeplab:reach=96") == "deeplab"
    assert resolve("dpt:width=64") == "dpt:width=64"
    for text, message in (
        ("deplab", "no head is called 'deplab'; did you mean 'deeplab'?"),
        ("dpt:deep=3", "'dpt' has no option 'deep'; choose one of width."),
        ("dpt:width=1", "option 'width' of 'dpt' is 1, out of range; give >= 2."),
    ):
        with pytest.raises(UsageError) as refusal:
            resolve(text)
        assert str(refusal.value) == message
