"""Checkpoints: what is loaded is what was saved, to the bit, or nothing at all."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from auxbench.errors import AuxbenchError
from auxbench.training import checkpoint as state

TYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    *(torch.uint16, torch.uint32, torch.uint64),
    *(torch.complex64, torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2),
]


def same(one: Any, two: Any) -> bool:
    """Equal in structure, in type and in every bit."""
    if isinstance(one, Tensor):
        return (
            isinstance(two, Tensor)
            and (one.dtype, one.shape) == (two.dtype, two.shape)
            and torch.equal(
                one.detach().resolve_conj().contiguous().reshape(-1).view(torch.uint8),
                two.resolve_conj().contiguous().reshape(-1).view(torch.uint8),
            )
        )
    if isinstance(one, dict):
        return (
            isinstance(two, dict)
            and one.keys() == two.keys()
            and {type(key) for key in one} == {type(key) for key in two}
            and all(same(one[key], two[key]) for key in one)
        )
    if isinstance(one, (list, tuple)):
        return isinstance(two, (list, tuple)) and len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and (repr(one) == repr(two))


def tree() -> dict[str, Any]:
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "whole": base,
        "tied": base,
        "slice": base[1:3],
        "turned": base.t(),
        "strided": base[:, ::2],
        "expanded": torch.tensor([1.0]).expand(3),
        "channels last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "number": torch.tensor(3),
        "empty": torch.empty(0, 5),
        "parameter": nn.Parameter(torch.ones(2)),
        "nan": torch.tensor([math.nan, math.inf, -0.0]),
        "dict": {1: "int", "1": "str", "": [], -7: {}},
        "list": [1, (2.5, [None, True, False]), "ä\n\udcff"],
        "floats": [0.1, -0.0, 1e-320, math.inf, -math.inf, math.nan, 1.0],
        "ints": [1, 2**200, -(2**63)],
        "meant as it is": {"float": "nan", "dict": [], "tensor": 0},
    }


def test_a_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    file = state.save(tmp_path / "deep" / "step.100", tree())
    assert file == tmp_path / "deep" / "step.100.pt"
    assert state.exists(tmp_path / "deep" / "step.100")
    loaded = state.load(tmp_path / "deep" / "step.100")
    assert same(tree() | {"channels last": None}, loaded | {"channels last": None})


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_tensors_of_every_type_come_back(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.randint(0, 2, (3, 4), generator=torch.Generator().manual_seed(0)).to(dtype)
    kept = {"matrix": values, "turned": values.t(), "number": values[0, 0], "none": values[:0]}
    if dtype.is_complex:
        kept["conjugate"] = values.conj()
    state.save(tmp_path / "x", kept)
    assert same(kept, state.load(tmp_path / "x"))


@pytest.mark.parametrize("leaf", [3, "text", None, 0.5, [], {}, torch.ones(2)], ids=repr)
def test_a_bare_leaf_is_a_tree(tmp_path: Path, leaf: Any) -> None:
    state.save(tmp_path / "x", leaf)
    assert same(leaf, state.load(tmp_path / "x"))


def test_equal_trees_have_equal_digests(tmp_path: Path) -> None:
    values = tree()
    backwards = {key: values[key] for key in reversed(values)}
    backwards["list"] = tuple(backwards["list"])
    state.save(tmp_path / "x", values)
    found = state.digest(state.load(tmp_path / "x"))
    assert state.digest(backwards) == state.digest(values) == found


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({1: 2}, {"1": 2}),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (None, "None"),
        ([], {}),
        (math.nan, "nan"),
        (torch.zeros(2), torch.zeros(1, 2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int32)),
        (torch.tensor(0.0), 0.0),
        ([torch.zeros(1), torch.ones(1)], [torch.ones(1), torch.zeros(1)]),
    ],
)
def test_different_trees_have_different_digests(one: Any, two: Any) -> None:
    assert state.digest(one) != state.digest(two)
    assert state.digest({"a": one}) != state.digest({"a": two})


def test_a_training_goes_on_exactly_after_its_state_was_on_disk(tmp_path: Path) -> None:
    def build() -> tuple[nn.Module, torch.optim.Optimizer, torch.Generator]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
        return network, torch.optim.Adam(network.parameters()), torch.Generator().manual_seed(1)

    def train(network: nn.Module, optimizer: Any, generator: torch.Generator, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            network(torch.randn(2, 3, 5, 5, generator=generator)).square().sum().backward()
            optimizer.step()

    def snapshot(network: nn.Module, optimizer: Any, generator: torch.Generator) -> dict[str, Any]:
        return {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(),
            "numpy": np.random.default_rng(3).bit_generator.state,
        }

    whole = build()
    train(*whole, 5)
    part = build()
    train(*part, 2)
    state.save(tmp_path / "x", snapshot(*part))
    loaded, resumed = state.load(tmp_path / "x"), build()
    resumed[0].load_state_dict(loaded["network"])
    resumed[1].load_state_dict(loaded["optimizer"])
    resumed[2].set_state(loaded["generator"])
    train(*resumed, 3)
    assert state.digest(snapshot(*resumed)) == state.digest(snapshot(*whole))
    assert state.digest(snapshot(*resumed)) != state.digest(snapshot(*part))
    numbers = np.random.default_rng(9)
    numbers.bit_generator.state = loaded["numpy"]
    assert numbers.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize(
    "bad", [{"a": [1, {2}]}, {"a": np.ones(2)}, object()], ids=["set", "array", "object"]
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(TypeError, match="cannot be part of a checkpoint"):
        state.save(tmp_path / "x", bad)
    assert not state.exists(tmp_path / "x")


class Trap:
    """An object whose pickle runs a command when it is read by an ordinary unpickler."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"sha256": "", "tree": Trap()}, tmp_path / "x.pt")
    with pytest.raises(AuxbenchError, match="cannot be read"):
        state.load(tmp_path / "x")
    assert not (tmp_path / "sprung").exists()


SMALL = {"step": 3, "weights": torch.arange(5.0), "mask": torch.tensor([True, False])}


def test_a_file_cut_anywhere_is_told_in_one_line(tmp_path: Path) -> None:
    file = state.save(tmp_path / "x", SMALL)
    content = file.read_bytes()
    for size in range(0, len(content), 7):
        file.write_bytes(content[:size])
        with pytest.raises(AuxbenchError) as caught:
            state.load(tmp_path / "x")
        message = str(caught.value)
        assert message.startswith(f"checkpoint '{file}' cannot be read (")
        assert message.endswith("); delete it to start the run again.")
        assert "\n" not in message


def test_a_file_changed_anywhere_is_never_taken_for_another_state(tmp_path: Path) -> None:
    file = state.save(tmp_path / "x", SMALL)
    content, refused = file.read_bytes(), 0
    for place in range(0, len(content), 3):
        for bit in (1, 4):
            changed = bytearray(content)
            changed[place] ^= bit
            file.write_bytes(changed)
            try:
                assert same(SMALL, state.load(tmp_path / "x"))  # bytes that mean nothing
            except AuxbenchError:
                refused += 1
    assert refused > 100


def test_a_missing_checkpoint_is_told(tmp_path: Path) -> None:
    assert not state.exists(tmp_path / "x")
    with pytest.raises(AuxbenchError, match=r"x\.pt' does not exist; start the run again"):
        state.load(tmp_path / "x")


def test_a_crash_while_saving_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = state.save(tmp_path / "x", {"step": 1})

    class Killed(BaseException):
        pass

    def killed(*arguments: object) -> None:
        raise Killed

    for moment in ("fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(os, moment, killed)
            state.save(tmp_path / "x", {"step": 2})
        assert state.load(tmp_path / "x") == {"step": 1}
    litter = tmp_path / ".x.pt.1.tmp"  # what another process left behind long ago
    litter.touch()
    os.utime(litter, (0, 0))
    state.save(tmp_path / "x", {"step": 3})
    assert state.load(tmp_path / "x") == {"step": 3}
    assert os.listdir(tmp_path) == [file.name]


def test_a_full_disk_is_told_and_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = state.save(tmp_path / "x", {"step": 1})

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(AuxbenchError) as caught:
            state.save(tmp_path / "x", {"step": 2})
    assert str(caught.value) == (
        f"checkpoint '{file}' cannot be written (No space left on device); "
        "make room or choose another folder with --results."
    )
    assert state.load(tmp_path / "x") == {"step": 1}
    assert os.listdir(tmp_path) == [file.name]


def test_a_loaded_checkpoint_does_not_depend_on_its_file(tmp_path: Path) -> None:
    file = state.save(tmp_path / "x", {"weights": torch.ones(1000)})
    loaded = state.load(tmp_path / "x")
    file.write_bytes(b"\0" * file.stat().st_size)
    assert torch.equal(loaded["weights"], torch.ones(1000))
    loaded["weights"].add_(1)


def test_a_draft_of_another_process_is_left_alone_until_it_is_old(tmp_path: Path) -> None:
    draft = tmp_path / ".x.pt.12345.tmp"  # as of an owner that was suspended and writes on
    draft.write_bytes(b"half")
    state.save(tmp_path / "x", 1)
    assert draft.exists()
    os.utime(draft, (0, 0))
    state.save(tmp_path / "x", 2)
    assert not draft.exists()
    assert state.load(tmp_path / "x") == 2
