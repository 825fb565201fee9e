"""A chain of rules in a loop of one's own does what it does in a run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

import auxbench
from auxbench import Balance
from auxbench.data.seeds import Seeds
from auxbench.errors import Diverged, UsageError
from auxbench.spec.registry import METHODS
from auxbench.training.balancer import Balancer
from auxbench.training.chain import make_balancers, rules_only
from auxbench.training.closure import SPLIT, ClosureBatch, context, recipe
from auxbench.training.descent import Descent

TASKS = ("a", "b", "c")
ROOT = Path(__file__).parents[2]

RULES: dict[str, type[Balancer]] = {
    name: METHODS[name] for name in METHODS.names() if issubclass(METHODS[name], Balancer)
}
PLAIN = [n for n, r in RULES.items() if not r.overrides & {"before", "after", "around", "relabel"}]
STEPPING = [n for n, r in RULES.items() if r.overrides & {"before", "after"}]
CHAINS = [*PLAIN, "gradnorm+pcgrad", "uw+graddrop+dwa", "gradnorm+pcgrad:every=2"]


Loss = Callable[[nn.Module, tuple[Tensor, dict[str, Tensor]]], dict[str, Tensor]]


class Net(nn.Module):
    """A trunk, a head per task, and a weight that only two tasks share."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.trunk = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
        self.between = nn.Linear(8, 8)
        self.heads = nn.ModuleDict({task: nn.Linear(8, 2) for task in TASKS})
        self.double()

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        features = self.trunk(inputs)
        ways = {task: self.between(features) if task != "a" else features for task in TASKS}
        return {task: self.heads[task](ways[task]) for task in TASKS}


def batch(seed: int, size: int = 12) -> tuple[Tensor, dict[str, Tensor]]:
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return draw(size, 6), {task: draw(size, 2) for task in TASKS}


def losses(net: nn.Module, data: tuple[Tensor, dict[str, Tensor]]) -> dict[str, Tensor]:
    outputs = net(data[0])
    return {task: mse_loss(outputs[task], data[1][task]) for task in TASKS}


def each(net: nn.Module, data: tuple[Tensor, dict[str, Tensor]]) -> dict[str, Tensor]:
    outputs = net(data[0])
    return {task: (outputs[task] - data[1][task]).square().mean(1) for task in TASKS}


def grads(net: nn.Module) -> list[Tensor | None]:
    return [None if p.grad is None else p.grad.clone() for p in net.parameters()]


def by_phases(method: str, net: nn.Module, steps: int, lossy: Loss) -> None:
    """Train as a run does: all phases of a chain, the descent of the harness among them."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    balancers = make_balancers(rules_only(method, TASKS), TASKS, TASKS, Seeds("balance", 0))
    budget = deepcopy(recipe(optimizer, steps))
    here = context(net, TASKS, recipe=budget, balancers=balancers)
    here.recipe = type(budget)(**{**vars(budget), "optimizer": "sgd", "weight_decay": 0.0})
    before = [phase for balancer in balancers for phase in balancer.before(here)]
    after = [phase for balancer in balancers for phase in balancer.after(here)]
    phases = [*before, Descent(here, balancers), *after]
    for step in range(steps):
        here.progress = step / steps
        batches = {SPLIT: ClosureBatch(partial(lossy, net, batch(step)), TASKS).batch}
        batches["holdout"] = ClosureBatch(partial(lossy, net, batch(100 + step)), TASKS).batch
        for phase in phases:
            phase.step(batches)


@pytest.mark.parametrize("method", CHAINS)
def test_backward_is_the_descent_of_a_run(method: str) -> None:
    ours, theirs = Net(), Net()
    balance = Balance(method, TASKS)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.05, momentum=0.9)
    for step in range(4):
        balance.backward(losses(ours, batch(step)), ours.parameters(), learning_rate=0.05)
        optimizer.step()
    by_phases(method, theirs, 4, losses)
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("method", [*STEPPING, "pcgrad", "famo+pcgrad"])
def test_step_runs_all_phases(method: str) -> None:
    ours, theirs = Net(), Net()
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.05, momentum=0.9)
    balance = Balance(method, TASKS, network=ours, optimizer=optimizer, steps=4)
    for step in range(4):
        held_out = partial(each, ours, batch(100 + step))
        found = balance.step(partial(each, ours, batch(step)), held_out=held_out)
        assert found.keys() == set(TASKS)
    by_phases(method, theirs, 4, each)
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(own, other)
    assert any(
        not torch.equal(own, fresh)
        for own, fresh in zip(ours.parameters(), Net().parameters(), strict=True)
    )


def test_the_plain_sum_is_the_sum() -> None:
    ours, theirs = Net(), Net()
    Balance("sum", TASKS).backward(losses(ours, batch(0)), ours.parameters())
    sum(losses(theirs, batch(0)).values()).backward()  # type: ignore[union-attr]
    for own, other in zip(grads(ours), grads(theirs), strict=True):
        torch.testing.assert_close(own, other)


def test_weights_and_gramian_can_be_logged() -> None:
    net = Net()
    balance = Balance("static:b=0.5:c=0", TASKS)
    balance.backward(losses(net, batch(0)), net.parameters())
    assert balance.weights == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert balance.gramian is None
    balance.backward(losses(net, batch(0)), net.parameters(), gramian=True)
    shared = [*net.trunk.parameters(), *net.between.parameters()]
    rows = []
    for loss in losses(net, batch(0)).values():
        found = torch.autograd.grad(loss, shared, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([part.flatten() for part in found]))
    expected = torch.stack(rows) @ torch.stack(rows).T
    assert balance.gramian is not None
    torch.testing.assert_close(balance.gramian, expected)
    compared = Balance("cagrad", TASKS)
    compared.backward(losses(net, batch(0)), net.parameters())
    assert compared.gramian is not None
    torch.testing.assert_close(compared.gramian, expected)


@pytest.mark.parametrize("method", ["sum", "uw", "pcgrad", "gradnorm", "cagrad", "graddrop"])
def test_parts_of_a_batch_count_as_one(method: str) -> None:
    whole, parted = Net(), Net()
    first, second = Balance(method, TASKS), Balance(method, TASKS)
    for step in range(3):
        data = batch(step)
        first.backward(losses(whole, data), whole.parameters())
        pieces = [
            (data[0][at : at + 4], {k: v[at : at + 4] for k, v in data[1].items()})
            for at in (0, 4, 8)
        ]
        for piece in pieces[:-1]:
            parts = {k: v / 3 for k, v in losses(parted, piece).items()}
            second.accumulate(parts, parted.parameters())
        parts = {k: v / 3 for k, v in losses(parted, pieces[-1]).items()}
        second.backward(parts, parted.parameters())
        for own, other in zip(grads(whole), grads(parted), strict=True):
            torch.testing.assert_close(own, other)
        assert first.weights == pytest.approx(second.weights)


def test_a_scaler_is_undone_before_any_rule_sees_gradients() -> None:
    ours, theirs = Net().float(), Net().float()
    data = batch(0)[0].float(), {k: v.float() for k, v in batch(0)[1].items()}
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.1)
    scaled, plain = Balance("uw+pcgrad", TASKS), Balance("uw+pcgrad", TASKS)
    scaled.backward(losses(ours, data), ours.parameters(), scaler=scaler)
    plain.backward(losses(theirs, data), theirs.parameters())
    for own, other in zip(grads(ours), grads(theirs), strict=True):
        assert own is not None and other is not None
        torch.testing.assert_close(own, 1024 * other)
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(ours.parameters(), 1e9)
    scaler.step(optimizer)
    scaler.update()
    torch.optim.SGD(theirs.parameters(), lr=0.1).step()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own, other)


def test_a_scaler_skips_a_step_whose_losses_overflow() -> None:
    net = Net()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    balance = Balance("gradnorm+pcgrad", TASKS)
    state = deepcopy(balance.state_dict()["balancers"])
    before = deepcopy(net.state_dict())
    overflown = {task: loss * torch.inf for task, loss in losses(net, batch(0)).items()}
    balance.backward(overflown, net.parameters(), scaler=scaler)
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 512.0
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert str(balance.state_dict()["balancers"]) == str(state)


@pytest.mark.parametrize("method", ["gradnorm+pcgrad", "pcgrad:every=3", "autolambda", "famo"])
def test_a_loaded_state_goes_on_as_if_nothing_had_happened(method: str) -> None:
    def made() -> tuple[Net, torch.optim.Optimizer, Balance]:
        net = Net()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        return net, optimizer, Balance(method, TASKS, network=net, optimizer=optimizer, steps=6)

    def go(net: Net, balance: Balance, steps: range) -> None:
        for step in steps:
            held_out = partial(losses, net, batch(100 + step))
            balance.step(partial(losses, net, batch(step)), held_out=held_out)

    net, optimizer, balance = made()
    go(net, balance, range(3))
    saved = deepcopy((net.state_dict(), optimizer.state_dict(), balance.state_dict()))
    go(net, balance, range(3, 6))
    again, other, loaded = made()
    again.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    loaded.load_state_dict(saved[2])
    go(again, loaded, range(3, 6))
    for own, same in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(own, same)
    assert loaded.weights == balance.weights


def test_a_task_without_labels_and_a_frozen_weight_do_no_harm() -> None:
    net = Net()
    net.between.weight.requires_grad_(False)
    for method in ("gradnorm+pcgrad", "sum", "cagrad"):
        found = losses(net, batch(0)) | {"b": torch.zeros((), dtype=torch.float64)}
        Balance(method, TASKS).backward(found, net.parameters())
        assert net.between.weight.grad is None
        assert net.heads["b"].weight.grad is None
        assert net.trunk[0].weight.grad is not None


def test_a_network_keeps_its_statistics_and_parameters_while_a_rule_looks_ahead() -> None:
    norm = nn.BatchNorm1d(4)
    net = nn.Sequential(nn.Linear(6, 4), norm, nn.Linear(4, 2)).double()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    balance = Balance("autolambda", ["a", "b"], network=net, optimizer=optimizer, steps=5)
    names = [name for name, _ in net.named_parameters()]

    def closure() -> dict[str, Tensor]:
        output = net(batch(0)[0])
        return {"a": output[:, 0].square().mean(), "b": output[:, 1].abs().mean()}

    balance.step(closure, held_out=closure)
    assert norm.num_batches_tracked == 1
    assert [name for name, _ in net.named_parameters()] == names
    assert all(isinstance(parameter, nn.Parameter) for parameter in net.parameters())


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("pc_grad", "did you mean 'pcgrad'"),
        ("auxnas+pcgrad", "'auxnas' in 'auxnas+pcgrad' builds networks; give rules"),
        ("pcgrad:lr=0.1", "'lr' in 'pcgrad:lr=0.1' is up to your own optimizer"),
        ("forkmerge", "'forkmerge' trains several copies of the network"),
        ("noise-aux", "'noise-aux' replaces labels"),
        ("pcgrad+slgrad", "put 'slgrad' first"),
    ],
)
def test_what_is_no_chain_of_rules_is_refused(method: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("+", r"\+")):
        Balance(method, TASKS)


def test_tasks_are_named_once() -> None:
    with pytest.raises(UsageError, match="name each loss once"):
        Balance("pcgrad", ["a", "a"])


def wrong(make: Callable[[dict[str, Tensor]], Any], method: str = "pcgrad") -> str:
    net = Net()
    with pytest.raises((UsageError, Diverged)) as caught:
        Balance(method, TASKS).backward(make(losses(net, batch(0))), net.parameters())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_losses_that_do_not_fit_are_named() -> None:
    assert "task 'c' is missing" in wrong(lambda found: {k: found[k] for k in "ab"})
    assert "there is no task 'd'" in wrong(lambda found: found | {"d": found["a"]})
    assert "is float; give a tensor" in wrong(lambda found: found | {"b": 1.0})
    assert "has shape [2, 2]" in wrong(lambda found: found | {"b": torch.zeros(2, 2)})
    assert "losses are a list" in wrong(lambda found: list(found.values()))
    assert "'b' became nan at step 0" in wrong(lambda found: found | {"b": found["b"] * torch.nan})
    assert "no loss depends" in wrong(lambda found: {k: v.detach() for k, v in found.items()})
    stacked = wrong(lambda found: dict(zip(TASKS, torch.stack(list(found.values())), strict=True)))
    assert "were stacked" in stacked
    assert "learning rate" in wrong(lambda found: found, "olaux")
    assert "'famo' looks at the losses again after a step; use balance.step" in wrong(
        lambda found: found, "famo"
    )
    for name in ("autolambda", "slgrad"):
        said = wrong(lambda found: found, name)
        assert f"'{name}' looks at held-out data before its step; use balance.step(" in said
        assert "held_out=closure" in said


def test_step_says_what_it_lacks() -> None:
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(UsageError, match="paces itself by the length of training"):
        Balance("autolambda", TASKS, network=net, optimizer=optimizer)
    closure = partial(losses, net, batch(0))
    with pytest.raises(UsageError, match="does not know what it trains"):
        Balance("autolambda", TASKS, steps=3).step(closure)
    balance = Balance("autolambda", TASKS, network=net, optimizer=optimizer, steps=3)
    with pytest.raises(UsageError, match="held_out=closure"):
        balance.step(closure)
    balance = Balance("slgrad", TASKS, network=net, optimizer=optimizer, steps=3)
    with pytest.raises(UsageError, match="weighs single samples"):
        balance.step(closure, held_out=closure)
    with pytest.raises(UsageError, match="the state is that of 'slgrad'"):
        Balance("pcgrad", TASKS).load_state_dict(balance.state_dict())


def test_it_is_a_public_name() -> None:
    assert auxbench.Balance is Balance
    assert "Balance" in auxbench.__all__


@pytest.mark.slow
def test_processes_average_gradients_and_losses(tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen([sys.executable, "-m", __name__, str(rank), str(tmp_path)], cwd=ROOT)
        for rank in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    net = Net()
    balance = Balance("gradnorm+pcgrad", TASKS)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(3):
        balance.backward(losses(net, batch(step)), net.parameters())
        optimizer.step()
    for own in found:
        for name, value in net.state_dict().items():
            torch.testing.assert_close(own[name], value)


def _replica(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    net = nn.parallel.DistributedDataParallel(Net(seed=0))
    balance = Balance("gradnorm+pcgrad", TASKS)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(3):
        inputs, targets = batch(step)
        part = slice(6 * rank, 6 * rank + 6)
        with net.no_sync():
            own = losses(net, (inputs[part], {k: v[part] for k, v in targets.items()}))
            balance.backward(own, net.parameters())
        optimizer.step()
    torch.save(net.module.state_dict(), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    _replica(int(sys.argv[1]), Path(sys.argv[2]))


def test_a_number_may_be_the_loss_of_a_task_without_labels() -> None:
    ours, theirs = Net(), Net()
    for net, zero in ((ours, 0), (theirs, torch.zeros(()))):
        found = {**losses(net, batch(0)), "b": zero}
        Balance("pcgrad", TASKS).backward(found, net.parameters())  # type: ignore[arg-type]
    for own, other in zip(grads(ours), grads(theirs), strict=True):
        assert (own is None) == (other is None)
        assert own is None or torch.equal(own, other)  # type: ignore[arg-type]


def test_parts_of_a_batch_that_failed_are_forgotten() -> None:
    ours, theirs = Net(), Net()
    balance = Balance("pcgrad", TASKS)
    balance.accumulate(losses(ours, batch(0)), ours.parameters())
    with pytest.raises(UsageError, match="no loss depends on"):
        constants = {task: torch.zeros(()) for task in TASKS}
        balance.backward(constants, ours.parameters())
    balance.backward(losses(ours, batch(1)), ours.parameters())
    Balance("pcgrad", TASKS).backward(losses(theirs, batch(1)), theirs.parameters())
    for own, other in zip(grads(ours), grads(theirs), strict=True):
        assert torch.equal(own, other)  # type: ignore[arg-type]


def test_a_rule_in_a_file_of_ones_own_is_named_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "half_of_all.py"
    file.write_text(
        "import torch\nfrom torch import Tensor\nfrom auxbench import METHODS, GradientBalancer, "
        "Signals\n\n\n@METHODS.register\nclass Half(GradientBalancer):\n"
        '    """A half for every task."""\n\n    family = "gradient"\n\n'
        "    def weights(self, signals: Signals) -> Tensor:\n"
        "        return torch.full((len(signals.losses),), 0.5).double()\n"
    )
    try:
        net = Net()
        balance = Balance(str(file), TASKS)
        assert balance.method == "half-of-all"
        balance.backward(losses(net, batch(0)), net.parameters())
        assert set(balance.weights.values()) == {0.5}
    finally:
        METHODS.remove("half-of-all")
