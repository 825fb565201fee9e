"""Backbones of one's own: what is measured of them, what is refused, and what trains with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from auxbench.contract.check import Subject, attempt
from auxbench.contract.template import write
from auxbench.errors import UsageError
from auxbench.networks.backbone import build, resolve
from auxbench.networks.huggingface import HuggingFace
from auxbench.networks.own import own_backbone
from auxbench.spec.files import named
from auxbench.spec.grammar import Choice
from auxbench.spec.registry import BACKBONES
from auxbench.spec.run import Run
from tests.unit import _own

HEAD = "from torch import nn\nfrom auxbench import BACKBONES\n\n\n@BACKBONES.register\n"
CLASS = HEAD + "class Net(nn.Module):\n    def __init__(self{given}):\n        super().__init__()\n"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    _own.forget()


def registered(folder: Path, body: str, given: str = "", name: str = "my_net.py") -> str:
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    (folder / name).write_text(CLASS.format(given=given) + lines, encoding="utf-8")
    return named(str(folder / name), BACKBONES)


def conv(channels: str, stride: int = 1) -> str:
    return f"nn.Conv2d({channels}, 3, {stride}, 1)"


def test_stages_channels_and_reductions_are_measured(tmp_path: Path) -> None:
    blocks = ", ".join([conv("4, 4"), conv("4, 4"), conv("4, 8", 2), conv("8, 6")])
    name = registered(
        tmp_path, f"self.stem = {conv('3, 4', 2)}\nself.blocks = nn.ModuleList([{blocks}])"
    )
    backbone = build(name, (32, 64))
    assert backbone.stages == (2, 1, 1)
    assert backbone.channels == (4, 4, 8, 6)
    assert backbone.reductions == (2, 4, 4)
    assert [tuple(found.shape[1:]) for found in backbone(torch.zeros(1, 3, 32, 64))] == [
        (4, 16, 32),
        (8, 8, 16),
        (6, 8, 16),
    ]


def test_equal_blocks_are_divided_and_need_no_stem(tmp_path: Path) -> None:
    blocks = ", ".join([conv("3, 3")] * 6)
    name = registered(tmp_path, f"self.blocks = [{blocks}]")  # a plain list will do
    backbone = build(name, 16)
    assert backbone.stages == (2, 2, 1, 1)
    assert len(list(backbone.parameters())) == 12


def test_vectors_are_rows_for_its_blocks(tmp_path: Path) -> None:
    body = "self.blocks = nn.ModuleList([nn.Linear(features, 8), nn.BatchNorm1d(8)])"
    name = registered(tmp_path, body, ", features, *, width: int = 8")
    backbone = build(name, 0, features=5)
    assert [found.shape for found in backbone(torch.randn(3, 5))] == [(3, 8, 1, 1)] * 2
    assert resolve(f"{name}:width=8", 5) == name
    with pytest.raises(UsageError, match="'my-net' takes vectors, and the data are images"):
        resolve(name)


def test_tokens_have_a_grid_behind_their_prefix() -> None:
    class Patches(nn.Module):
        prefix = 1

        def __init__(self, size: tuple[int, int]) -> None:
            super().__init__()
            self.stem = Tokens()
            self.blocks = nn.ModuleList(nn.Linear(6, 6) for _ in range(2))

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, 6, 8, 8)

        def forward(self, images: Tensor) -> Tensor:
            tokens = self.patch(images).flatten(2).transpose(1, 2)
            return torch.cat([tokens[:, :1] * 0, tokens], dim=1)

    backbone = own_backbone(Choice("patches"), Patches, (32, 64))
    assert backbone.reductions == (8, 8)
    assert [found.shape for found in backbone(torch.zeros(1, 3, 32, 64))] == [(1, 6, 4, 8)] * 2
    Patches.prefix = 0
    with pytest.raises(UsageError, match="makes 25 tokens of 32 x 48 pixels"):
        own_backbone(Choice("patches"), Patches, (32, 48))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("pass", r"lists no blocks; set self\.blocks = nn\.ModuleList"),
        ("self.blocks = []", "lists no blocks"),
        ("self.blocks = [len]", "has builtin_function_or_method as block 1, which is no module"),
        ("x = 1 / 0", r"cannot be built \(ZeroDivisionError: .*, line 9\); correct my_net\.py"),
        (
            f"self.blocks = [{conv('3, 4')}, {conv('5, 4')}]",
            r"fails in its block 2 of 2 on \[2, 4, 16, 16\] \(RuntimeError",
        ),
        ("self.blocks = [nn.Flatten()]", r"gives \[2, 768\] in its block 1 of 1; give maps"),
        (
            f"self.blocks = [{conv('3, 4')}, nn.ReLU(inplace=True)]",
            "changes what it is given in its block 2 of 2; begin the block without inplace",
        ),
        (
            f"self.blocks = [{conv('3, 4')}]\nself.layout = 'NLC'",
            r"has the layout NLC, but features of shape \[2, 4, 16, 16\]",
        ),
    ],
)
def test_what_is_wrong_with_a_network_is_one_sentence(tmp_path: Path, body: str, says: str) -> None:
    name = registered(tmp_path, body)
    with pytest.raises(UsageError, match=says) as caught:
        build(name, 16)
    assert "\n" not in str(caught.value)


def test_a_forward_that_computes_something_else_is_refused() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)])
            self.scale = 1.0

        def forward(self, images: Tensor) -> Tensor:
            last: Tensor = self.blocks[1](self.blocks[0](images))
            return self.scale * last

    class Scaled(Net):
        def __init__(self) -> None:
            super().__init__()
            self.scale = 2.0

    own_backbone(Choice("net"), Net, (16, 16))
    with pytest.raises(UsageError, match="returns something else from forward than its stem and"):
        own_backbone(Choice("net"), Scaled, (16, 16))


def test_names_options_and_weights(tmp_path: Path) -> None:
    body = f"self.blocks = nn.ModuleList([{conv('3, width')}])"
    name = registered(tmp_path, body, ", *, width: int = 4")
    assert resolve(f"{name}:width=4") == name
    assert resolve(f"{name}:width=8") == f"{name}:width=8"
    for text, pretrained, says in (
        (f"{name}:depth=3", False, "'my-net' has no option 'depth'"),
        (name, True, r"'my-net' has no pretrained weights; give some by --weights FILE"),
    ):
        with pytest.raises(UsageError, match=says):
            resolve(text, 0, pretrained)
    with pytest.raises(UsageError, match="'my-net' takes images, and the data are vectors"):
        resolve(name, 7)
    file = tmp_path / "weights.safetensors"
    trained = BACKBONES[name]().state_dict()
    save_file(trained, file)
    assert torch.equal(build(name, 16, file).blocks[0].weight, trained["blocks.0.weight"])
    with pytest.raises(UsageError, match="do not fit backbone 'my-net'"):
        build(f"{name}:width=8", 16, file)
    save_file({"other": torch.zeros(1)}, file)
    with pytest.raises(UsageError, match=r"lack 2 tensors of backbone 'my-net', such as 'blocks"):
        build(name, 16, file)
    taken = registered(tmp_path, body, ", *, width: int = 4", "resnet26.py")
    with pytest.raises(UsageError, match="has the name of one of timm's; rename its file"):
        resolve(taken)


def test_runs_remember_the_file(tmp_path: Path) -> None:
    from auxbench.execution.study import Study

    registered(tmp_path, f"self.blocks = nn.ModuleList([{conv('3, 4')}])")
    file = tmp_path / "my_net.py"
    (run,) = Study.of("single", "rooms", backbone=str(file), seeds=1).runs
    assert (run.backbone, run.files) == ("my-net", (("BACKBONES", str(file)),))
    assert Run.from_json(run.to_json()).id == run.id


@pytest.mark.parametrize("kind", ["dataset", "backbone"])
def test_a_template_keeps_its_contract(tmp_path: Path, kind: str) -> None:
    assert "next:" in write("my-part", kind, tmp_path)[0]
    (subject,) = Subject.every(str(tmp_path / "my_part.py"))
    results = [attempt(part, check) for part, check in subject.checks()]
    assert [result for result in results if result.ok is not True] == []
    with pytest.raises(UsageError, match="exists already"):
        write("my-part", kind, tmp_path)


def test_the_contract_catches_a_network_that_draws_and_one_that_is_not_reached(
    tmp_path: Path,
) -> None:
    body = (
        f"self.blocks = nn.ModuleList([{conv('3, 4')}])\n"
        "self.blocks[0].lost = nn.Parameter(__import__('torch').zeros(1))\n"
        "self.blocks[0].weight.data.fill_(__import__('random').random())\n"
    )
    registered(tmp_path, body)
    (subject,) = Subject.every(str(tmp_path / "my_net.py"))
    wanted = ("it_starts_as_the_seed_says", "every_parameter_is_reached")
    results = [attempt(part, check) for part, check in subject.checks() if check.__name__ in wanted]
    assert [result.ok for result in results] == [False, False]
    assert "starts differently; draw from torch's global random state" in results[0].says
    assert "no map depends on the parameter 'blocks.0.lost'" in results[1].says


class Layer(nn.Module):
    """A layer that returns a tuple, as those of Hugging Face may."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, tokens: Tensor) -> tuple[Tensor, None]:
        return tokens + self.inner(tokens), None


class Embeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 6, 8, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 6))
        self.mask_token = nn.Parameter(torch.zeros(1, 6))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch(images).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)


class Model(nn.Module):
    """The shape of a model of Hugging Face, without the package."""

    def __init__(self, skipped: int = 0) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer() for _ in range(3))
        self.skipped = skipped

    def forward(self, images: Tensor, output_hidden_states: bool) -> Any:
        states = [self.embeddings(images)]
        for layer in list(self.encoder.layer)[self.skipped :]:  # type: ignore[arg-type]
            states.append(layer(states[-1])[0])
        return SimpleNamespace(hidden_states=states)


def test_a_model_of_hugging_face_is_split_or_refused() -> None:
    class Whole(HuggingFace):
        def __init__(self) -> None:
            super().__init__(Model())

    class Skipping(HuggingFace):
        def __init__(self) -> None:
            super().__init__(Model(skipped=1))

    backbone = own_backbone(Choice("whole"), Whole, (16, 32))
    assert backbone.stages == (1, 1, 1)
    assert [found.shape for found in backbone(torch.zeros(1, 3, 16, 32))] == [(1, 6, 2, 4)] * 3
    assert not [name for name, _ in backbone.named_parameters() if "mask_token" in name]
    with pytest.raises(UsageError, match="returns something else from forward"):
        own_backbone(Choice("skipping"), Skipping, (16, 32))
    with pytest.raises(UsageError, match="Linear has no chain of blocks that is known here"):
        HuggingFace(nn.Linear(1, 1))


def test_real_models_of_hugging_face() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}

    class Vit(HuggingFace):
        def __init__(self, size: tuple[int, int]) -> None:
            config = transformers.ViTConfig(**sizes, num_hidden_layers=2, image_size=size)
            super().__init__(transformers.ViTModel(config, add_pooling_layer=False))

    class Swin(HuggingFace):
        def __init__(self) -> None:
            config = transformers.SwinConfig(image_size=32, depths=[1, 1], num_heads=[1, 1])
            super().__init__(transformers.SwinModel(config))

    assert own_backbone(Choice("vit"), Vit, (32, 64)).stages == (1, 1)
    with pytest.raises(UsageError, match="backbone 'swin' fails in its block 1 of 2"):
        own_backbone(Choice("swin"), Swin, (32, 32))
