"""Recomputation: the same training, with fewer features kept between the passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from auxbench.errors import UsageError
from auxbench.networks import backbone
from auxbench.networks.recomputation import recomputed
from auxbench.spec.budget import BUDGETS, Recipe
from tests.contract._parts import training

METHODS = ["hps", "hps+pcgrad", "hps+gradnorm", "auxnas+pcgrad", "hps+autolambda", "hps+olaux"]


@pytest.mark.parametrize("method", METHODS)
def test_training_is_the_same(method: str) -> None:
    states = []
    for checkpointing in (False, True):
        run = training(method, checkpointing=checkpointing)
        run.run()
        states.append(run.learner.architecture.state_dict())
        blocks = [m for m in run.learner.architecture.modules() if "forward" in m.__dict__]
        assert not blocks
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-5)


def noisy() -> backbone.Backbone:
    """A backbone with BatchNorm and dropout in its blocks."""
    torch.manual_seed(0)
    made = backbone.build("test_resnet", 32)
    for number, block in enumerate(made.blocks):
        made.blocks[number] = nn.Sequential(block, nn.Dropout(0.3))
    return made.train()


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("tracked", [False, True])
def test_dropout_is_repeated_and_statistics_change_once(tracked: bool, passes: int) -> None:
    found = []
    for again in (False, True):
        network = noisy()
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.track_running_stats = tracked
        torch.manual_seed(1)
        images = torch.randn(2, 3, 32, 32)
        if again:
            with recomputed(network):
                maps = network(images)
        else:
            maps = network(images)
        total = maps[-1].square().mean()
        for left in reversed(range(passes)):
            total.backward(retain_graph=left > 0)
        gradients = [p.grad for p in network.parameters()]
        found.append([gradients, network.state_dict(), torch.rand(2)])
    torch.testing.assert_close(*found)


def test_fewer_features_are_kept() -> None:
    kept = []
    for again in (False, True):
        sizes: list[int] = []

        def pack(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        network = noisy()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            if again:
                with recomputed(network):
                    network(torch.zeros(2, 3, 32, 32))
            else:
                network(torch.zeros(2, 3, 32, 32))
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_the_option_belongs_to_the_recipe() -> None:
    recipe = BUDGETS["demo"]
    assert "checkpointing" not in recipe.to_json()
    changed: Any = recipe.with_changes(checkpointing=True)
    assert changed.budget == "demo"
    assert Recipe.from_json(changed.to_json()).checkpointing
    with pytest.raises(UsageError, match="must be True or False"):
        recipe.with_changes(checkpointing=2)
