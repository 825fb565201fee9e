"""A chain of rules in a loop of one's own, with networks, parameters and closures of every kind."""

from __future__ import annotations

import io
import pickle
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
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from auxbench import Balance
from auxbench.errors import UsageError
from tests.unit.test_balance import RULES, TASKS, Net, batch, each, grads, losses

ROOT = Path(__file__).parents[2]
HIDDEN = 4


class Own(nn.Module):
    """A trunk of any kind, and a head per task."""

    def __init__(self, trunk: nn.Module, width: int = HIDDEN) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({task: nn.Linear(width, 2) for task in TASKS})

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        features = self.trunk(inputs)
        return {task: head(features) for task, head in self.heads.items()}

    def losses(self, inputs: Tensor) -> dict[str, Tensor]:
        return {task: (out - 1).square().mean(1) for task, out in self(inputs).items()}


class Waves(nn.Module):
    """Complex weights, and buffers that are integers and complex."""

    phase: Tensor
    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, HIDDEN, dtype=torch.complex64))
        self.register_buffer("phase", torch.ones(HIDDEN, dtype=torch.complex64) * 1j)
        self.register_buffer("order", torch.arange(HIDDEN))

    def forward(self, inputs: Tensor) -> Tensor:
        wave = inputs.to(torch.complex64) @ self.weight + self.phase
        return wave.real + wave.imag.sin() * self.order


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, HIDDEN, sparse=True)

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.table(inputs.abs().mul(3).long()).mean(1)
        return features


class Last(nn.Module):
    """A recurrent layer, of which the last state counts."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(2, HIDDEN, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        states: Tensor = self.cells(inputs.reshape(-1, 3, 2))[0]
        return states[:, -1]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(2, 2, HIDDEN, batch_first=True, dropout=0.0)

    def forward(self, inputs: Tensor) -> Tensor:
        states: Tensor = self.layer(inputs.reshape(-1, 3, 2))
        return states.flatten(1)[:, :HIDDEN]


class Again(nn.Module):
    """A checkpointed block."""

    def __init__(self, reentrant: bool = False) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, HIDDEN))
        self.reentrant = reentrant

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = inputs.requires_grad_() if self.reentrant else inputs
        result: Tensor = checkpoint(self.block, inputs, use_reentrant=self.reentrant)
        return result


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
        self.other.weight = self.one.weight

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.tanh(self.other(torch.tanh(self.one(inputs))))[:, :HIDDEN]


def weight_normed() -> Any:
    return nn.utils.parametrizations.weight_norm(nn.Linear(6, HIDDEN))


TRUNKS: list[Callable[[], nn.Module]] = [
    Waves,
    Words,
    Last,
    Attention,
    Again,
    Tied,
    weight_normed,
    partial(nn.utils.parametrizations.spectral_norm, nn.Linear(6, HIDDEN)),
    lambda: nn.Sequential(nn.Linear(6, HIDDEN), nn.BatchNorm1d(HIDDEN)),
]


def given(trunk: nn.Module) -> tuple[Own, Tensor]:
    return Own(trunk), torch.randn(8, 6, generator=torch.Generator().manual_seed(0))


def whole(gradient: Tensor) -> Tensor:
    gradient = gradient.to_dense() if gradient.is_sparse else gradient
    return (torch.view_as_real(gradient) if gradient.is_complex() else gradient).flatten()


@pytest.mark.parametrize("make", TRUNKS)
def test_gradients_of_any_network_are_weighed_sums(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net, inputs = given(make())
    if not isinstance(net.trunk, Last):
        net.trunk.eval()
    balance = Balance("mgda", TASKS)
    balance.backward(net.losses(inputs), net.parameters())
    shared = list(net.trunk.parameters())
    rows = [
        torch.autograd.grad(loss.mean(), shared, retain_graph=True)
        for loss in net.losses(inputs).values()
    ]
    flat = torch.stack([torch.cat([whole(g) for g in row]) for row in rows]).double()
    assert balance.gramian is not None
    torch.testing.assert_close(balance.gramian, flat @ flat.T, rtol=1e-5, atol=1e-9)
    weights = torch.tensor(list(balance.weights.values()), dtype=torch.float64)
    written = torch.cat([whole(p.grad) for p in shared if p.grad is not None])
    torch.testing.assert_close(written, (weights @ flat).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["gradnorm", "graddrop", "metabalance"])
@pytest.mark.parametrize("make", TRUNKS[:2])
def test_rules_that_edit_gradients_see_real_numbers(
    make: Callable[[], nn.Module], method: str
) -> None:
    net, inputs = given(make())
    Balance(method, TASKS).backward(net.losses(inputs), net.parameters())
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == parameter.dtype


@pytest.mark.parametrize("make", [make for make in TRUNKS if make is not Again])
def test_rules_look_ahead_in_any_network(make: Callable[[], nn.Module]) -> None:
    for method in ("autolambda", "auxilearn:every=1", "slgrad"):
        torch.manual_seed(0)
        net, inputs = given(make())
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        balance = Balance(method, TASKS, network=net, optimizer=optimizer, steps=9)
        balance.step(partial(net.losses, inputs), held_out=partial(net.losses, -inputs))
        assert all(p.grad is not None for p in net.parameters())


def test_two_backward_passes_are_a_forward_mode_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any) -> Any:
        raise NotImplementedError("no forward mode")

    found = []
    for _ in range(2):
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        balance = Balance("slgrad", TASKS, network=net, optimizer=optimizer, steps=2)
        balance.step(partial(each, net, batch(0)), held_out=partial(each, net, batch(1)))
        found.append(grads(net))
        monkeypatch.setattr("auxbench.training.objective.jvp", missing)
    torch.testing.assert_close(found[0], found[1])


def test_a_checkpointed_block_is_not_computed_again_with_other_parameters() -> None:
    net, inputs = given(Again())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    balance = Balance("autolambda", TASKS, network=net, optimizer=optimizer, steps=9)
    closure = partial(net.losses, inputs)
    with pytest.raises(UsageError, match="leave checkpointing out"):
        balance.step(closure, held_out=closure)
    net, inputs = given(Again(reentrant=True))
    with pytest.raises(UsageError, match="set use_reentrant=False"):
        Balance("pcgrad", TASKS).backward(net.losses(inputs), net.parameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch.compile, about its own parts
@pytest.mark.parametrize("method", ["pcgrad", "mgda", "gradnorm", "metabalance"])
def test_a_network_compiled_as_a_whole_is_the_same_network(method: str) -> None:
    plain, whole = Net(), Net()
    compiled: Any = torch.compile(whole, backend="aot_eager")
    first, second = Balance(method, TASKS), Balance(method, TASKS)
    for step in range(2):
        first.backward(losses(plain, batch(step)), plain.parameters())
        second.backward(losses(compiled, batch(step)), whole.parameters())
        torch.testing.assert_close(grads(plain), grads(whole))
    assert first.weights == pytest.approx(second.weights)


@pytest.mark.parametrize("method", ["pcgrad", "mgda", "sum"])
def test_a_parameter_that_is_given_twice_counts_once(method: str) -> None:
    once, twice = Net(), Net()
    Balance(method, TASKS).backward(losses(once, batch(0)), once.parameters())
    every = [*twice.parameters(), *twice.trunk.parameters()]
    Balance(method, TASKS).backward(losses(twice, batch(0)), every)
    torch.testing.assert_close(grads(once), grads(twice), rtol=0, atol=0)


def test_wrong_parameters_are_named() -> None:
    net = Net()

    def said(parameters: Any) -> str:
        with pytest.raises(UsageError) as caught:
            Balance("pcgrad", TASKS).backward(losses(net, batch(0)), parameters)
        return str(caught.value)

    once = net.parameters()
    assert len(list(once)) == 12
    assert "can be read once" in said(once)
    assert "no loss depends on any of the parameters" in said(Net().parameters())
    assert "are a module" in said(net.trunk)
    assert "is a tuple value" in said(net.named_parameters())
    assert "is a dict value" in said([{"params": net.parameters()}])
    Balance("pcgrad", TASKS).backward(losses(net, batch(0)), net.between.weight)
    assert net.between.weight.grad is not None


def test_the_constant_of_a_task_without_labels_may_be_anywhere() -> None:
    net = Net().to("meta")
    losses = [torch.zeros(()), *(p.square().mean() for p in net.heads.parameters())][:3]
    gradients = Balance("sum", TASKS).combination._gradients(losses, net.parameters(), None, None)
    assert {loss.device.type for loss in gradients.losses} == {"meta"}


@pytest.mark.parametrize("by_step", [False, True])
def test_what_is_frozen_stands_still_and_what_is_thawed_moves(by_step: bool) -> None:
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    method = "autolambda" if by_step else "pcgrad"
    balance = Balance(method, TASKS, network=net, optimizer=optimizer, steps=9)
    weight = next(net.trunk.parameters())

    def moves(trained: bool) -> bool:
        net.trunk.requires_grad_(trained)
        before = weight.detach().clone()
        if by_step:
            closure = partial(losses, net, batch(0))
            balance.step(closure, held_out=closure)
        else:
            balance.backward(losses(net, batch(0)), net.parameters())
            optimizer.step()
        return not torch.equal(before, weight)

    assert [moves(trained) for trained in (False, True, False)] == [False, True, False]


class Half(nn.Module):
    """A network whose losses have a gradient that overflows in half precision if `big`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(6, HIDDEN)
        self.heads = nn.ModuleDict({task: nn.Linear(HIDDEN, 1) for task in TASKS})

    def losses(self, big: bool) -> dict[str, Tensor]:
        with torch.autocast("cpu", dtype=torch.float16):
            features = self.trunk(batch(0)[0].float())
            outputs = {task: head(features) for task, head in self.heads.items()}
        scale = 1e6 if big else 1.0
        return {task: (out.float() * scale).square().mean() for task, out in outputs.items()}


@pytest.mark.parametrize("method", ["gradnorm+pcgrad", "uw+olaux", "autolambda"])
def test_a_scaler_skips_a_step_whose_gradients_overflow(method: str) -> None:
    net = Half()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    balance = Balance(method, TASKS, network=net, optimizer=optimizer, steps=9)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def step(big: bool) -> None:
        closure = partial(net.losses, big)
        balance.step(closure, held_out=closure, scaler=scaler)

    step(False)
    rules = deepcopy(balance.state_dict()["balancers"])
    scale, kept = balance.combination.precision.scale, deepcopy(net.state_dict())
    step(True)
    assert scaler.get_scale() == 512.0
    assert str(balance.state_dict()["balancers"]) == str(rules)
    assert balance.combination.precision.scale == scale
    assert all(torch.equal(kept[key], value) for key, value in net.state_dict().items())
    step(False)
    assert all(torch.isfinite(torch.tensor(list(balance.weights.values()))))
    assert any(not torch.equal(kept[key], value) for key, value in net.state_dict().items())


@pytest.mark.parametrize("method", ["gradnorm+pcgrad", "uw"])
def test_an_overflow_in_an_earlier_part_of_a_batch_skips_its_step(method: str) -> None:
    net = Half()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    balance, scaler = Balance(method, TASKS), torch.amp.GradScaler("cpu", init_scale=1024.0)

    def step(first: bool) -> None:
        balance.accumulate(net.losses(first), net.parameters(), scaler=scaler)
        balance.backward(net.losses(False), net.parameters(), scaler=scaler)
        scaler.step(optimizer)
        scaler.update()

    step(False)
    rules, kept = deepcopy(balance.state_dict()["balancers"]), deepcopy(net.state_dict())
    step(True)
    assert scaler.get_scale() == 512.0
    assert str(balance.state_dict()["balancers"]) == str(rules)
    assert all(torch.equal(kept[key], value) for key, value in net.state_dict().items())
    step(False)  # the overflow of the batch before is forgotten
    assert any(not torch.equal(kept[key], value) for key, value in net.state_dict().items())


def test_a_task_missing_from_the_last_part_still_counts() -> None:
    weights = []
    for order in ((0, 1), (1, 0)):
        net, balance = Net(), Balance("gradnorm", TASKS)
        for step in range(3):
            halves = [losses(net, batch(step)), losses(net, batch(step + 9))]
            for task in ("b", "c"):  # without labels in one half
                halves[0][task] = torch.zeros((), dtype=torch.float64)
            balance.accumulate(halves[order[0]], net.parameters())
            balance.backward(halves[order[1]], net.parameters())
        weights.append(balance.weights)
    assert weights[0] == pytest.approx(weights[1])
    assert weights[0]["b"] != 1.0


@pytest.mark.parametrize("method", RULES)
def test_every_state_is_saved_without_code_and_every_balance_is_copied(method: str) -> None:
    if RULES[method].overrides & {"around", "relabel"}:
        pytest.skip("it has no place in a loop of one's own")
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    balance = Balance(method, TASKS, network=net, optimizer=optimizer, steps=9)
    balance.step(partial(each, net, batch(0)), held_out=partial(each, net, batch(1)))
    file = io.BytesIO()
    torch.save(balance.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    Balance(method, TASKS).load_state_dict(saved)  # for `backward` it needs no network
    assert str(saved) == str(balance.state_dict())
    for copied in (deepcopy(balance), pickle.loads(pickle.dumps(balance))):
        own: Any = copied.context.network.network
        copied.step(partial(each, own, batch(2)), held_out=partial(each, own, batch(3)))
        pairs = zip(own.parameters(), net.parameters(), strict=True)
        assert not all(torch.equal(one, other) for one, other in pairs)


def test_a_state_of_other_tasks_is_refused() -> None:
    state = Balance("gradnorm", ["a", "b", "c"]).state_dict()
    with pytest.raises(UsageError, match=r"'gradnorm' on \['a', 'b', 'c'\]"):
        Balance("gradnorm", ["b", "a", "c"]).load_state_dict(state)
    with pytest.raises(UsageError, match="not the state of a Balance"):
        Balance("gradnorm", ["a"]).load_state_dict({})


def test_closures_that_break_the_rules_are_told_so() -> None:
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    balance = Balance("autolambda", TASKS, network=net, optimizer=optimizer, steps=9)
    before = deepcopy(net.state_dict())

    def said(closure: Callable[[], dict[str, Tensor]]) -> str:
        with pytest.raises(UsageError) as caught:
            balance.step(closure, held_out=closure)
        return str(caught.value)

    def going_back() -> dict[str, Tensor]:
        found = losses(net, batch(0))
        torch.stack(list(found.values())).sum().backward()  # type: ignore[no-untyped-call]
        return found

    assert "not under no_grad()" in said(torch.no_grad()(partial(losses, net, batch(0))))
    assert "depends on the network" in said(partial(losses, Net().requires_grad_(False), batch(0)))
    assert "do not call backward()" in said(going_back)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    with torch.no_grad():
        balance.step(partial(losses, net, batch(0)), held_out=partial(losses, net, batch(1)))
    with pytest.raises(UsageError, match="LBFGS computes the losses several times in a step"):
        Balance("famo", TASKS, network=net, optimizer=torch.optim.LBFGS(net.parameters()))
    other = torch.optim.SGD([*net.parameters(), nn.Parameter(torch.ones(1))], lr=0.1)
    with pytest.raises(UsageError, match="parameters that are not the network's"):
        Balance("famo", TASKS, network=net, optimizer=other)


def test_losses_that_were_stacked_and_scaled_are_refused() -> None:
    net = Net()
    stacked = 0.5 * torch.stack(list(losses(net, batch(0)).values()))
    with pytest.raises(UsageError, match="were stacked"):
        Balance("pcgrad", TASKS).backward(dict(zip(TASKS, stacked, strict=True)), net.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("case", ["unused", "unlabelled", "both", "bare"])
def test_processes_may_lack_labels_and_look_for_unused_parameters(
    tmp_path: Path, case: str
) -> None:
    ranks = [
        subprocess.Popen([sys.executable, "-m", __name__, str(rank), str(tmp_path), case], cwd=ROOT)
        for rank in range(2)
    ]
    assert [rank.wait(timeout=240) for rank in ranks] == [0, 0]
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for method in METHODS:
        net = Net()
        balance = Balance(method, TASKS)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for step in range(3):
            inputs, targets = batch(step)
            expected = losses(net, (inputs, targets))
            half = {task: values[:6] for task, values in targets.items()}
            for task in LACKING[case]:
                expected[task] = losses(net, (inputs[:6], half))[task] / 2
            balance.backward(expected, net.parameters())
            optimizer.step()
        for own in found:
            for name, value in net.state_dict().items():
                torch.testing.assert_close(own[method][name], value)


LACKING = {"unused": "", "unlabelled": "b", "both": "b", "bare": TASKS}
METHODS = ("uw", "gradnorm", "pcgrad", "graddrop")


def _replica(rank: int, folder: Path, case: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    states = {}
    for method in METHODS:
        net = DistributedDataParallel(Net(), find_unused_parameters=case in ("unused", "both"))
        balance = Balance(method, TASKS)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for step in range(3):
            inputs, targets = batch(step)
            part = slice(6 * rank, 6 * rank + 6)
            with net.no_sync():
                own = losses(net, (inputs[part], {k: v[part] for k, v in targets.items()}))
                for task in LACKING[case] if rank == 1 else ():
                    own[task] = torch.zeros((), dtype=torch.float64)
                balance.backward(own, net.parameters())
            optimizer.step()
        states[method] = net.module.state_dict()
    torch.save(states, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    _replica(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
