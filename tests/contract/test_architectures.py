"""The contract of every registered architecture, on backbones of three kinds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from auxbench.contract.architecture import BACKBONES, architecture_of
from auxbench.contract.check import ARCHITECTURE
from auxbench.contract.dry_run import images
from tests.contract._parts import ARCHITECTURES, TASKS, cells, hold, rooms


@cells(ARCHITECTURES, ARCHITECTURE)
def test_architecture(name: str, check: Callable[[str], None]) -> None:
    hold(name, check)


@pytest.mark.parametrize("name", ["auxnas", "auxnas-official"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_supernet_equals_the_single_task_networks_at_step_0(name: str, backbone: str) -> None:
    architecture = architecture_of(name, backbone).eval()
    predictions = architecture(images())
    for task in architecture.tasks:
        torch.testing.assert_close(
            predictions[task.name], architecture.network(task)(images()), rtol=1e-5, atol=1e-5
        )


def test_links_run_between_the_primary_and_each_auxiliary_only() -> None:
    architecture = architecture_of("auxnas")
    directions = {f"{way}/{name}" for way in ("a2p", "p2a") for name in TASKS[1]}
    assert set(architecture.logits) == directions


def test_norm_and_activation_stay_on_the_deployed_primary_branch() -> None:
    plain, normed = architecture_of("auxnas"), architecture_of("auxnas:norm=batch:act=relu")
    count = [sum(p.numel() for p in net.deploy().parameters()) for net in (plain, normed)]
    trunk = normed.network(normed.primary).backbone
    assert count[1] - count[0] == 2 * sum(trunk.channels)
    single = architecture_of("single").deploy().eval()(images())
    assert not torch.allclose(normed.deploy().eval()(images()), single)
    ends = architecture_of("auxnas:links=stage:norm=batch:act=relu")
    more = sum(p.numel() for p in ends.deploy().parameters()) - count[0]
    assert more == 2 * sum(trunk.channels[end] for end in trunk.ends)


def test_links_only_lead_to_the_same_block_or_up_to_two_later_in_a_stage() -> None:
    from auxbench.methods._linked.links import link_pairs

    pairs = link_pairs((3, 4, 6, 3), "block")
    ends = [0, 3, 7, 13, 16]
    for first, last in pairwise(ends):
        for target in range(first, last):
            assert pairs[target] == [j for j in range(first, target + 1) if target - j < 3]


@pytest.mark.parametrize("backbone", ["vgg16", "vit_tiny_patch16_224"])
def test_vgg16_and_a_vit_of_twelve_blocks_have_24_links_a_direction(backbone: str) -> None:
    architecture = architecture_of("auxnas", backbone)
    assert {len(logits) for logits in architecture.logits.values()} == {24}
    assert architecture(images(1))[TASKS[0]].shape[-2:] == rooms().size


def test_links_at_the_ends_of_stages_only() -> None:
    architecture = architecture_of("auxnas:links=stage")
    assert {len(logits) for logits in architecture.logits.values()} == {4}


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_norms_behind_links_have_the_constants_of_the_released_code(kind: str) -> None:
    norms = (torch.nn.BatchNorm1d, torch.nn.LayerNorm)
    found = architecture_of(f"auxnas:norm={kind}").after.modules()
    constants = {norm.eps for norm in found if isinstance(norm, norms)}
    assert constants == {1e-3}
