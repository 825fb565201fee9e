"""The contract of every registered architecture, on backbones of three kinds."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from auxbench.architecture import Architecture
from auxbench.budget import BUDGETS
from auxbench.cost.training import Meter
from auxbench.grammar import Choice
from auxbench.phase import Objective
from auxbench.registry import METHODS
from tests.contract._parts import ARCHITECTURES, TASKS, rooms, site, weights_of

BACKBONES = ["test_resnet", "test_vit", "test_convnext"]
CELLS = [(name, net) for name in ARCHITECTURES for net in BACKBONES]


def make(name: str, backbone: str = "test_resnet") -> Architecture:
    choice = Choice.parse(name)
    maker = METHODS[choice.name]
    architecture = maker(site(backbone), **choice.values(maker))
    assert isinstance(architecture, Architecture)
    return architecture


def images(count: int = 2) -> torch.Tensor:
    side = rooms().side
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "backbone"), CELLS)
def test_every_trained_task_gets_a_prediction_of_its_shape(name: str, backbone: str) -> None:
    architecture, x = make(name, backbone), images()
    predictions = architecture(x)
    assert set(predictions) == {task.name for task in architecture.tasks}
    for task in architecture.tasks:
        size = x.shape[-2:] if task.dense else ()
        assert predictions[task.name].shape == (2, task.outputs, *size)


@pytest.mark.parametrize(("name", "backbone"), CELLS)
def test_deployed_network_predicts_the_primary_and_holds_nothing_else(
    name: str, backbone: str
) -> None:
    architecture = make(name, backbone).eval()
    deployed = architecture.deploy()
    single = make("single", backbone)
    assert deployed(images()).shape[1] == architecture.primary.outputs
    if not architecture.deploys_single:
        return
    shapes = sorted(tuple(p.shape) for p in deployed.parameters())
    assert shapes == sorted(tuple(p.shape) for p in single.deploy().parameters())


@pytest.mark.parametrize(("name", "backbone"), CELLS)
def test_primary_starts_alike_under_every_architecture(name: str, backbone: str) -> None:
    single = weights_of(make("single", backbone))
    started = {key.removeprefix("network."): value for key, value in single.items()}
    architecture = make(name, backbone)
    held = {tuple(v.shape): [] for v in architecture.state_dict().values()}
    for value in architecture.state_dict().values():
        held[tuple(value.shape)].append(value)
    for key, value in started.items():
        assert any(torch.equal(value, other) for other in held[tuple(value.shape)]), key
    if architecture.deploys_single:
        deployed = architecture.deploy().eval()
        assert torch.equal(make("single", backbone).deploy().eval()(images()), deployed(images()))


@pytest.mark.parametrize(("name", "backbone"), CELLS)
def test_every_parameter_is_reached_by_some_loss(name: str, backbone: str) -> None:
    architecture = make(name, backbone)
    sum(p.square().mean() for p in architecture(images()).values()).backward()
    phases = architecture.phases(Objective(architecture, Meter()), BUDGETS["demo"])
    elsewhere = {id(p) for phase in phases for p in phase.claimed}
    named = architecture.named_parameters()
    assert not [n for n, p in named if p.grad is None and id(p) not in elsewhere]


@pytest.mark.parametrize(("name", "backbone"), CELLS)
def test_global_random_state_is_left_alone(name: str, backbone: str) -> None:
    before = torch.get_rng_state()
    make(name, backbone)(images())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["auxnas", "auxnas-official"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_supernet_equals_the_single_task_networks_at_step_0(name: str, backbone: str) -> None:
    architecture = make(name, backbone).eval()
    predictions = architecture(images())
    for task in architecture.tasks:
        torch.testing.assert_close(
            predictions[task.name], architecture.network(task)(images()), rtol=1e-5, atol=1e-5
        )


def test_links_run_between_the_primary_and_each_auxiliary_only() -> None:
    architecture = make("auxnas")
    directions = {f"{way}/{name}" for way in ("a2p", "p2a") for name in TASKS[1]}
    assert set(architecture.logits) == directions


def test_norm_and_activation_stay_on_the_deployed_primary_branch() -> None:
    plain, normed = make("auxnas"), make("auxnas:norm=batch:act=relu")
    count = [sum(p.numel() for p in net.deploy().parameters()) for net in (plain, normed)]
    trunk = normed.network(normed.primary).backbone
    assert count[1] - count[0] == 2 * sum(trunk.channels)
    single = make("single").deploy().eval()(images())
    assert not torch.allclose(normed.deploy().eval()(images()), single)


def test_links_only_lead_to_the_same_block_or_up_to_two_later_in_a_stage() -> None:
    from auxbench.methods._links import link_pairs

    pairs = link_pairs((3, 4, 6, 3), "block")
    ends = [0, 3, 7, 13, 16]
    for first, last in pairwise(ends):
        for target in range(first, last):
            assert pairs[target] == [j for j in range(first, target + 1) if target - j < 3]


@pytest.mark.parametrize("backbone", ["vgg16", "vit_tiny_patch16_224"])
def test_vgg16_and_a_vit_of_twelve_blocks_have_24_links_a_direction(backbone: str) -> None:
    architecture = make("auxnas", backbone)
    assert {len(logits) for logits in architecture.logits.values()} == {24}
    assert architecture(images(1))[TASKS[0]].shape[-1] == rooms().side


def test_links_at_the_ends_of_stages_only() -> None:
    architecture = make("auxnas:links=stage")
    assert {len(logits) for logits in architecture.logits.values()} == {4}
