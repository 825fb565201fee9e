"""Shapes that are remembered are those that torch computes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from auxbench.cost.flops import Flops
from auxbench.cost.shapes import Shapes


def form(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def network() -> nn.Module:
    """A network without values, which averages over places of any number."""
    with torch.device("meta"):
        parts = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.AdaptiveAvgPool2d(1))
        return nn.Sequential(*parts, nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 5))


def passed(inputs: Tensor, mode: AbstractContextManager[object]) -> list[Tensor]:
    """The prediction and the gradients of the network."""
    net = network()
    with mode:
        found = net(inputs)
        return [found, *torch.autograd.grad(found.square().sum(), list(net.parameters()))]


def test_results_have_the_shapes_strides_and_types_of_torch() -> None:
    shapes = Shapes()
    for inputs in (
        torch.ones(2, 3, 8, 8, device="meta"),
        torch.ones(2, 3, 8, 8, device="meta").to(memory_format=torch.channels_last),
        torch.ones(2, 3, 6, 8, device="meta"),
    ):
        wanted = [form(one) for one in passed(inputs, nullcontext())]
        for _ in range(2):
            assert [form(one) for one in passed(inputs, shapes)] == wanted
    assert shapes.found > len(shapes.known)


def test_arguments_of_other_values_or_types_are_others() -> None:
    one = torch.ones(2, 3, device="meta")
    with Shapes():
        assert [one.sum(0).shape, one.sum(1).shape] == [(3,), (2,)]
        assert [(one + 1).dtype, (one.long() + 1).dtype] == [torch.float32, torch.int64]
        assert [(one.long() * 2).dtype, (one.long() * 2.0).dtype] == [torch.int64, torch.float32]
        assert [one.sum(0).shape, one.sum(0, keepdim=True).shape] == [(3,), (1, 3)]


def test_what_changes_or_shares_memory_is_left_to_torch() -> None:
    with Shapes() as shapes:
        for _ in range(2):
            one = torch.ones(2, 3, device="meta")
            version = one._version
            one.mul_(2)
            assert one._version == version + 1
            assert one.t()._base is one
    assert not any(func.overloadpacket is torch.ops.aten.mul_ for func, *_ in shapes.known)


def test_values_are_never_remembered() -> None:
    with Shapes() as shapes:
        assert (torch.ones(2) + 1).tolist() == [2, 2]
        assert (torch.zeros(2) + 1).tolist() == [1, 1]
        assert not torch.equal(torch.rand(9), torch.rand(9))
    assert not shapes.found


def test_operations_are_counted_as_without() -> None:
    inputs, shapes, totals = torch.ones(2, 3, 8, 8, device="meta"), Shapes(), []
    net = network()
    for _ in range(2):
        with Flops() as plain:
            net(inputs).sum().backward()
        with shapes, Flops() as flops:
            net(inputs).sum().backward()
        totals.append((flops.total, plain.total))
    assert len({total for pair in totals for total in pair}) == 1
    assert totals[0][0] > 0
