"""Every method on a GPU: it computes what a CPU computes, and its steps do not wait.

Skipped where there is no GPU.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from auxbench import Balance
from auxbench.contract.dry_run import training
from auxbench.cost.training import Meter
from auxbench.records.store import Store
from auxbench.spec.registry import METHODS
from auxbench.training.architecture import Architecture
from auxbench.training.loop import Training
from tests.unit.test_balance import CHAINS as OWN
from tests.unit.test_balance import PLAIN, TASKS, Net, batch, each
from tests.unit.test_balance import losses as losses_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

METHOD_NAMES = METHODS.names()
CHAINS = ["auxnas+pcgrad", "auxnas+gradnorm+pcgrad", "pcgrad:every=2"]
CALLED = "called a synchronizing"  # from the warning of torch
FIXED = ["auxnas-official"]  # fixes its optimiser
DRAWS = ["graddrop"]  # draws other numbers on a GPU
FREE = {"losses"}  # signals whose reading waits for the forward pass alone


@contextmanager
def exactly() -> Iterator[None]:
    """Convolutions in single precision, not in TF32, and always by the same algorithm."""
    kept = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = kept


def losses(run: Training) -> list[float]:
    run.run()
    scalars = run.curve[-1]["scalars"]
    return [value for name, value in scalars.items() if name.startswith("loss/")]


@pytest.mark.parametrize("method", [*METHOD_NAMES, *CHAINS])
def test_a_gpu_trains_as_a_cpu_does(method: str) -> None:
    # Adam moves a parameter as far for a gradient of rounding errors as for any other.
    changes: dict[str, str] = {} if method in FIXED else {"optimizer": "sgd"}
    with exactly():
        found = losses(training(method, steps=2, device="cuda", flops=False, **changes))
    expected = losses(training(method, steps=2, flops=False, **changes))
    near = 1e-3 if changes and method not in DRAWS else 1e-2
    assert found == pytest.approx(expected, rel=near)


@contextmanager
def when_waiting(mode: str) -> Iterator[None]:
    """Operations that wait for the GPU warn or fail, and setting this does not warn itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode(mode)
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@contextmanager
def waits() -> Iterator[list[str]]:
    """The operations inside that wait for the GPU."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught, when_waiting("warn"):
        warnings.simplefilter("always")
        yield found
    found += [f"{w.filename}:{w.lineno}" for w in caught if CALLED in str(w.message)]


def waits_per_step(method: str, steps: int = 3) -> list[str]:
    """The operations that wait for the GPU in three steps, once everything is warm."""
    run = training(method, steps=10, device="cuda", flops=False)
    stage = run.learner.stages[-1]
    for step in range(2):
        run.iterate(stage, step)
    torch.cuda.synchronize()
    with waits() as found:
        for step in range(2, 2 + steps):
            run.iterate(stage, step)
    return found


def reads(method: str) -> set[str]:
    """The signals that a method's balancers read."""
    return set[str]().union(*(b.reads for b in training(method).learner.balancers))


def plain(method: str) -> bool:
    """True for a balancer that only weighs losses or gradients in the descent."""
    part = METHODS[method]
    return not issubclass(part, Architecture) and part.overrides <= {"weights"}


@pytest.mark.parametrize("method", ["single", "hps", *filter(plain, METHOD_NAMES)])
def test_a_step_waits_for_nothing_but_the_gradients_that_it_compares(method: str) -> None:
    read = reads(method)
    found = waits_per_step(method)
    assert len(found) <= (0 if read <= FREE else 3), found  # one transfer a step


def test_a_step_of_the_plain_sum_is_allowed_where_waiting_is_an_error() -> None:
    run = training("hps", steps=10, device="cuda", flops=False)
    stage = run.learner.stages[-1]
    for step in range(2):
        run.iterate(stage, step)
    with when_waiting("error"):
        run.iterate(stage, 2)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("method", ["hps", "pcgrad", "gradnorm", "auxnas", "famo"])
def test_half_precision_trains(method: str, precision: str) -> None:
    half = training(method, steps=2, device="cuda", flops=False, precision=precision)
    assert losses(half) == pytest.approx(losses(training(method, steps=2, flops=False)), rel=0.1)


def test_a_compiled_network_trains_as_one_that_is_not() -> None:
    run = training("hps", steps=2, device="cuda", flops=False, compiled=True)
    assert run.compile() == ""
    plain = training("hps", steps=2, device="cuda", flops=False)
    assert losses(run) == pytest.approx(losses(plain), rel=1e-2)


def on_gpu(step: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, dict[str, Tensor]]:
    inputs, targets = batch(step)
    return inputs.to("cuda", dtype), {task: t.to("cuda", dtype) for task, t in targets.items()}


@pytest.mark.parametrize("method", [name for name in OWN if not set(DRAWS) & set(name.split("+"))])
def test_a_loop_of_ones_own_computes_on_a_gpu_what_it_computes_on_a_cpu(method: str) -> None:
    ends = []
    for device, data in (("cpu", batch), ("cuda", on_gpu)):
        net, balance = Net().to(device), Balance(method, TASKS)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for step in range(3):
            balance.backward(each(net, data(step)), net.parameters(), learning_rate=0.05)
            optimizer.step()
        ends.append([parameter.detach().cpu() for parameter in net.parameters()])
    torch.testing.assert_close(*ends, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", [*filter(plain, PLAIN)])
def test_a_loop_of_ones_own_waits_for_no_more_than_a_run(method: str) -> None:
    net, balance = Net().to("cuda"), Balance(method, TASKS)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    known = [on_gpu(step) for step in range(5)]

    def train(steps: range) -> None:
        for step in steps:
            balance.backward(each(net, known[step]), net.parameters(), learning_rate=0.05)
            optimizer.step()

    train(range(2))
    torch.cuda.synchronize()
    with waits() as found:
        train(range(2, 5))
    assert len(found) <= (0 if reads(method) <= FREE else 3), found


@pytest.mark.parametrize("method", ["sum", "uw", "gradnorm", "pcgrad", "gradnorm+pcgrad"])
def test_a_loop_of_ones_own_trains_in_half_precision_and_skips_what_overflows(method: str) -> None:
    ends, whole = [], on_gpu(0, torch.float32)
    for half in (False, True):
        net, balance = Net().float().to("cuda"), Balance(method, TASKS)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        scaler = torch.amp.GradScaler("cuda", enabled=half)
        for step in range(10):
            scale = scaler.get_scale()
            with torch.autocast("cuda", torch.float16, enabled=half):
                losses = losses_of(net, whole)
                if half and step == 5:
                    losses |= {"b": losses["b"] * torch.inf}
            balance.backward(losses, net.parameters(), scaler=scaler)
            scaler.step(optimizer)
            scaler.update()
            assert (scaler.get_scale() < scale) == (half and step == 5)
        # the step that was skipped is made up for
        for _ in range(half):
            balance.backward(losses_of(net, whole), net.parameters())
            optimizer.step()
        ends.append(sum(loss.item() for loss in losses_of(net, whole).values()))
    assert ends[1] == pytest.approx(ends[0], rel=0.02)


def test_seconds_and_memory_are_those_of_the_gpu() -> None:
    meter, size = Meter("cuda", flops=False), 4096
    values = torch.randn(size, size, device="cuda")
    torch.cuda.synchronize()
    with meter.phase("descent"):
        for _ in range(20):
            values = values @ values / size
    summary = meter.summary()
    # 2.7e12 operations take at least a millisecond on any GPU, and queueing them takes less
    assert 1e-3 < summary["seconds"] < 10
    assert summary["peak_memory_bytes"] >= values.nbytes


def test_runs_share_a_gpu(tmp_path: Path) -> None:
    words = ["run", "--methods", "hps,uw", "--dataset", "toy", "--budget", "demo", "--steps", "5"]
    words += ["--seeds", "2", "--device", "cuda", "--jobs", "2", "--results", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "auxbench", *words], check=True)
    records = list(Store(tmp_path).runs())
    assert [record["status"] for record in records] == ["done"] * 4
    assert {record["environment"]["device"] for record in records} == {"cuda"}
