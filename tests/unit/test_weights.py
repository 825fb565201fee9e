"""Weights from a file: known by their bytes, read without unpickling, and complete."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from auxbench import run
from auxbench.errors import UsageError
from auxbench.execution.study import Study
from auxbench.networks import pretrained as weights
from auxbench.networks.backbone import build

NAMES = ["test_resnet", "test_vit", "test_convnext", "test_efficientnet", "vgg11_bn"]


@pytest.fixture(autouse=True)
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))


def state(name: str, seed: int = 7) -> dict[str, torch.Tensor]:
    """A state as another training script might have saved it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = {"img_size": 64} if name == "test_vit" else {}
        tensors = timm.create_model(name, num_classes=5, **size).state_dict()
        return {
            key: torch.rand(value.shape) if value.is_floating_point() else value
            for key, value in tensors.items()
        }


@pytest.mark.parametrize("name", [*NAMES[:-1], pytest.param(NAMES[-1], marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["x.safetensors", "x.pth"])
def test_every_tensor_comes_from_the_file(name: str, kind: str, tmp_path: Path) -> None:
    file, tensors = tmp_path / kind, state(name)
    if file.suffix == ".pth":
        torch.save({"state_dict": {f"module.{key}": value for key, value in tensors.items()}}, file)
    else:
        save_file(tensors, file)
    held = build(name, 64, weights.kept(weights.keep(file))).state_dict()
    sums = {round(float(value.sum()), 3) for value in tensors.values()}
    filled = [key for key, value in held.items() if round(float(value.sum()), 3) in sums]
    assert len(held) > 10
    assert filled == list(held)


def test_position_embeddings_of_another_size_are_adapted(tmp_path: Path) -> None:
    save_file(state("test_vit"), tmp_path / "x.safetensors")
    backbone = build("test_vit", (32, 96), tmp_path / "x.safetensors")
    assert backbone(torch.zeros(1, 3, 32, 96))[-1].shape == (1, 64, 2, 6)


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_file(state("test_resnet"), tmp_path / f"{name}.safetensors")
    save_file(state("test_resnet", 8), tmp_path / "three.safetensors")
    one, two, three = (
        Study.of(
            "single",
            "rooms",
            backbone="test_resnet",
            weights=tmp_path / f"{name}.safetensors",
            seeds=1,
        ).runs[0]
        for name in ("one", "two", "three")
    )
    assert one == two
    assert one.id != three.id
    assert one.to_json()["weights"] == one.weights == weights.keep(tmp_path / "two.safetensors")
    (tmp_path / "one.safetensors").unlink()
    assert weights.kept(one.weights).exists()


def test_a_run_starts_from_the_file_and_says_so(tmp_path: Path) -> None:
    save_file(state("test_resnet"), tmp_path / "mine.safetensors")
    frame = run(
        "single",
        "rooms:train=8:validation=4:test=4",
        backbone="test_resnet",
        weights=tmp_path / "mine.safetensors",
        head="deeplab",
        seeds=1,
        budget="demo",
        steps=2,
        batch=4,
        side=32,
        results=tmp_path / "results",
        quiet=True,
    )
    digest = weights.keep(tmp_path / "mine.safetensors")
    assert frame[["status", "weights", "head"]].to_numpy().tolist() == [["done", digest, "deeplab"]]
    assert f"test_resnet from weights {digest[:12]} with head deeplab;" in frame["problem"][0]


def test_refusals_in_one_sentence(tmp_path: Path) -> None:
    save_file(state("test_vit"), tmp_path / "vit.safetensors")
    with pytest.raises(UsageError, match=r"^weights 'vit.safetensors' lack \d+ of \d+ tensors of "):
        build("test_resnet", 64, tmp_path / "vit.safetensors")
    wide = state("test_resnet") | {"conv1.0.weight": torch.zeros(3, 3, 3, 3)}
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(UsageError, match=r"^weights 'wide.safetensors' do not fit backbone 'test_"):
        build("test_resnet", 64, tmp_path / "wide.safetensors")
    short = state("test_resnet")
    del short["layer3.0.conv1.weight"]
    save_file(short, tmp_path / "short.safetensors")
    with pytest.raises(UsageError, match=r"lack 1 of \d+ .*such as 'layer3.0.conv1.weight'"):
        build("test_resnet", 64, tmp_path / "short.safetensors")
    (tmp_path / "half.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(UsageError, match=r"^weights 'half.safetensors' cannot be read \("):
        build("test_resnet", 64, tmp_path / "half.safetensors")
    with pytest.raises(UsageError, match=r"^weights '.*x.npz' have an unknown type; give "):
        weights.keep(tmp_path / "x.npz")
    with pytest.raises(UsageError, match=r"^weights '.*none.pth' cannot be copied .* such file"):
        weights.keep(tmp_path / "none.pth")
    with pytest.raises(UsageError, match=r"^weights '0123456789ab' are not in '.*'; name their"):
        weights.kept("0123456789abcdef")
    with pytest.raises(UsageError, match=r"^weights 'a.pth' contradict --pretrained; leave one"):
        Study.of("single", "rooms", weights="a.pth", pretrained=True)
    with pytest.raises(UsageError, match=r"^backbone 'mlp' has no pretrained weights"):
        Study.of("single", "toy", weights=tmp_path / "vit.safetensors")


class Trap:
    """A pickle that runs code when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return open, ("trapped.txt",)


def test_no_pickle_is_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trapped.txt").write_text("")
    torch.save({"conv1.weight": Trap()}, tmp_path / "evil.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Trap()))
    for name in ("evil.pth", "old.pth"):
        with pytest.raises(UsageError, match=rf"^weights '{name}' cannot be read \("):
            build("test_resnet", 64, tmp_path / name)
