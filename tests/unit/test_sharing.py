"""Architectures that share features between tasks: what they reduce to, and what is deployed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from auxbench.spec.grammar import Choice
from auxbench.spec.registry import METHODS
from tests.contract._parts import TASKS, builder, rooms, training, weights_of

SHARING = ["crossstitch", "nddr", "mtan"]
FUSED = [
    "crossstitch",
    "crossstitch:links=block:per=channel",
    "nddr:norm=none:act=none",
    "nddr:links=block:norm=none:act=none",
]
NETS = ["test_resnet", "test_vit", "test_convnext"]


def make(name: str, net: str = "test_resnet", auxiliaries: tuple[str, ...] = TASKS[1]) -> Any:
    choice = Choice.parse(name)
    maker = METHODS[choice.name]
    return maker(builder(net, auxiliaries), **choice.values(maker))


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, *rooms().size, generator=torch.Generator().manual_seed(0))


def alone(architecture: Any, net: str) -> dict[str, torch.Tensor]:
    """Predict every task of an architecture with single-task networks."""
    here = builder(net)
    return {task.name: here.network(task).eval()(images()) for task in architecture.tasks}


@pytest.mark.parametrize("name", SHARING)
@pytest.mark.parametrize("net", NETS)
def test_without_auxiliaries_it_is_the_single_task_network(name: str, net: str) -> None:
    found, single = make(name, net, ()), make("single", net, ())
    assert sum(p.numel() for p in found.parameters()) == sum(p.numel() for p in single.parameters())
    expected = single.deploy().state_dict()
    assert found.deploy().state_dict().keys() == expected.keys()
    for key, value in found.deploy().state_dict().items():
        assert torch.equal(value, expected[key]), key
    predictions = found.eval()(images())
    assert torch.equal(predictions[TASKS[0]], single.eval()(images())[TASKS[0]])


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("net", NETS)
def test_kept_to_themselves_branches_are_independent_networks(name: str, net: str) -> None:
    architecture = make(f"{name}:own=1", net).eval()
    for task, expected in alone(architecture, net).items():
        torch.testing.assert_close(
            architecture(images())[task], expected, rtol=1e-4, atol=1e-5, msg=task
        )
    mixed = make(name, net).eval()(images())
    assert not torch.allclose(mixed[TASKS[0]], architecture(images())[TASKS[0]], atol=1e-3)


@pytest.mark.parametrize("name", ["crossstitch", "crossstitch:per=channel"])
def test_a_stitch_mixes_the_tasks_by_its_row(name: str) -> None:
    architecture = make(name)
    units = architecture.trunks.units[TASKS[0]]
    trunk = architecture.trunks.trunks[TASKS[0]]
    assert len(units) == len(trunk.stages)
    a, b, c = (torch.full((2, trunk.channels[0], 4, 4), value) for value in (1.0, 2.0, 30.0))
    # The primary comes last: 0.05 * 1 + 0.05 * 2 + 0.9 * 30.
    torch.testing.assert_close(units[0]([a, b, c]), torch.full_like(a, 27.15))


def test_rows_of_a_fresh_stitch_keep_the_scale_of_the_features() -> None:
    for part in make("crossstitch:links=block:own=0.7").modules():
        if type(part).__name__ == "Stitch":
            assert part.weight.sum().item() == pytest.approx(1.0)
            assert part.weight.max().item() == pytest.approx(0.7)


def test_stitches_sit_behind_stages_or_behind_every_block() -> None:
    stage, block = make("crossstitch"), make("crossstitch:links=block")
    trunk = stage.trunks.trunks[TASKS[0]]
    assert stage.places == list(trunk.ends)
    assert block.places == list(range(len(trunk.blocks)))
    count = [sum(p.numel() for p in net.parameters()) for net in (stage, block)]
    assert count[1] - count[0] == 9 * (len(trunk.blocks) - len(trunk.ends))


@pytest.mark.parametrize("net", NETS)
def test_a_diagonal_reduction_is_a_stitch_per_channel(net: str) -> None:
    stitched = make("crossstitch:per=channel:own=0.8", net).eval()(images())
    reduced = make("nddr:norm=none:act=none:own=0.8", net).eval()(images())
    for task in stitched:
        torch.testing.assert_close(stitched[task], reduced[task], rtol=1e-4, atol=1e-5)


def test_a_reduction_normalises_and_activates_its_feature() -> None:
    architecture = make("nddr").train()
    unit = architecture.trunks.units[TASKS[0]][0]
    channels = architecture.trunks.trunks[TASKS[0]].channels[0]
    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(8, channels, 4, 4, generator=generator) * 50 + 7 for _ in range(3)]
    found = unit(features)
    assert (found >= 0).all()
    assert found.square().mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", [*FUSED, "nddr", "mtan"])
@pytest.mark.parametrize("net", NETS)
def test_the_deployed_network_predicts_what_training_predicts(name: str, net: str) -> None:
    architecture = make(name, net).eval()
    deployed = architecture.deploy().eval()
    torch.testing.assert_close(deployed(images()), architecture(images())[TASKS[0]])
    held = {id(p) for p in architecture.parameters()}
    assert {id(p) for p in deployed.parameters()} <= held
    deployed(images()).square().sum().backward()
    assert all(p.grad is not None for p in deployed.parameters())


@pytest.mark.parametrize(("name", "trunks"), [("crossstitch", 3), ("nddr", 3), ("mtan", 1)])
def test_inference_costs_as_many_trunks_as_are_fused(name: str, trunks: int) -> None:
    architecture = make(name)
    trunk = sum(p.numel() for p in builder().backbone(architecture.primary).parameters())
    deployed = sum(p.numel() for p in architecture.deploy().parameters())
    assert trunks * trunk < deployed < sum(p.numel() for p in architecture.parameters())


@pytest.mark.parametrize("net", NETS)
def test_masks_of_one_leave_the_shared_trunk(net: str) -> None:
    architecture, shared = make("mtan", net).eval(), make("hps", net).eval()
    assert not torch.equal(architecture(images())[TASKS[0]], shared(images())[TASKS[0]])
    with torch.no_grad():
        for attention in architecture.attentions.values():
            for mask in attention.masks:
                norm = mask[-2]
                assert isinstance(norm, nn.BatchNorm2d)
                norm.weight.zero_()
                norm.bias.fill_(100.0)
    for task, expected in shared(images()).items():
        assert torch.equal(architecture(images())[task], expected), task


def test_masks_lie_between_0_and_1_and_differ_between_tasks() -> None:
    architecture = make("mtan")
    maps = architecture.network.backbone(images())
    masks = [attention.masks[0](maps[0]) for attention in architecture.attentions.values()]
    assert len(masks) == 3
    assert all(
        mask.shape == maps[0].shape and (mask > 0).all() and (mask < 1).all() for mask in masks
    )
    assert not torch.allclose(masks[0], masks[1], atol=0.01)


def test_masks_of_later_stages_see_those_of_earlier_ones() -> None:
    attention = make("mtan").eval().attentions[TASKS[0]]
    features = make("hps").eval().network.backbone(images())
    maps = [feature.detach().requires_grad_() for feature in features]
    (gradient,) = torch.autograd.grad(attention(maps)[-1].sum(), maps[:1])
    assert gradient.abs().max() > 0


def test_attention_of_a_task_does_not_depend_on_the_other_tasks() -> None:
    both, one = make("mtan"), make("mtan", auxiliaries=("scene",))
    expected = weights_of(both.attentions["scene"])
    for key, value in weights_of(one.attentions["scene"]).items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize(
    "method",
    ["crossstitch+pcgrad", "crossstitch:per=channel+gradnorm", "nddr+pcgrad", "mtan+gradnorm"],
)
def test_three_steps_of_training_move_every_parameter(method: str) -> None:
    run = training(method)
    before = weights_of(run.learner.architecture)
    run.run()
    after = run.learner.architecture.state_dict()
    names = [name for name, _ in run.learner.architecture.named_parameters()]
    assert not [name for name in names if torch.equal(before[name], after[name])]
    assert run.curve
