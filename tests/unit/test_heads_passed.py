"""Heads passed once: where the tasks' own parts of a graph end, and that nothing changes by it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench.training.gradients import Gradients, Passes
from auxbench.training.graph import Graph


class Net(nn.Module):
    """A trunk of two maps, and three heads that read both, one, and the other."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.ModuleList([nn.Linear(4, 5), nn.Linear(5, 5)])
        self.heads = nn.ModuleList([nn.Linear(10, 2), nn.Linear(5, 2), nn.Linear(5, 2)])
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def losses(self, views: bool = True) -> list[Tensor]:
        first = self.trunk[0](torch.linspace(-1, 1, 12).view(3, 4)).tanh()
        second = self.trunk[1](first).tanh()
        maps = [first.view_as(first), second.view_as(second)] if views else [first, second]
        both = torch.cat(maps, 1)
        return [
            head(given).square().mean()
            for head, given in zip(self.heads, (both, *maps), strict=True)
        ]


def test_the_cut_is_where_several_losses_meet() -> None:
    cut = Graph(Net().losses()).cut
    assert cut is not None
    assert [len(edges) for edges in cut] == [2, 1, 1]


def a_map_computed_from_another() -> list[Tensor]:
    return Net().losses(views=False)


def a_parameter_in_two_heads() -> list[Tensor]:
    shared, tied = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    feature = shared.exp().log()
    return [(feature * tied).sum(), (feature * tied).square().sum()]


def a_single_task() -> list[Tensor]:
    return Net().losses()[:1]


def one_loss_twice() -> list[Tensor]:
    return Net().losses()[:1] * 2


@pytest.mark.parametrize(
    "losses",
    [a_map_computed_from_another, a_parameter_in_two_heads, a_single_task, one_loss_twice],
)
def test_there_is_no_cut(losses: object) -> None:
    assert callable(losses)
    assert Graph(losses()).cut is None


@pytest.mark.parametrize("private", [[1.0, 1.0, 1.0], [0.5, 2.0, 0.0]], ids=["equal", "own"])
@pytest.mark.parametrize("read", ["losses", "gramian", "rows"])
@pytest.mark.parametrize("chunks", [1, 2])
def test_norms_and_gradients_are_the_same_with_and_without_a_cut(
    chunks: int, read: str, private: list[float]
) -> None:
    shared, own = torch.tensor([0.5, 2.0, 0.0]), torch.tensor(private)
    found = []
    for views in (True, False):
        net = Net()
        gradients = Gradients(net.losses(views), list(net.parameters()), chunks=chunks)
        norms = gradients.norms
        also = getattr(gradients, read)
        gradients.write(shared, own)
        found.append([norms, also, [p.grad for p in net.parameters()]])
        assert (gradients.heads is not None) is views
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)
    assert all(gradient is not None for gradient in found[0][2])


def test_passed_heads_cost_no_second_pass_for_weights_of_their_own() -> None:
    net = Net()
    gradients = Gradients(net.losses(), list(net.parameters()))
    assert gradients.norms.any()
    gradients.write(torch.tensor([0.5, 1.0, 1.0]), torch.ones(3))
    assert gradients.passes == Passes(1, 3)
