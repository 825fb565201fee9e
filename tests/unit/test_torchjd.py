"""Our combined gradients against those of TorchJD 0.18, an independent implementation.

Both get the same float64 Jacobians, and conventions are brought to one footing in the open: where
TorchJD takes a mean, its result is multiplied by the number of tasks. Where its solver is
approximate or fails, the test says so and ours has to be exact by a criterion of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from auxbench.spec.registry import METHODS
from auxbench.training.balancer import Balancer
from auxbench.training.gradients import Gradients
from auxbench.training.signals import Signals

MISSING = "torchjd is not installed; it comes with the extra 'dev'"
aggregation = pytest.importorskip("torchjd.aggregation", reason=MISSING)
scalarization = pytest.importorskip("torchjd.scalarization", reason=MISSING)

ROOT = Path(__file__).parents[2]
CASES: dict[str, Any] = json.loads(
    (ROOT / "tests" / "golden" / "gradients.json").read_text(encoding="utf-8")
)

# What TorchJD calls otherwise than our classes are called.
OTHER_NAMES = {"rlw": "Random", "gls": "GeometricMean", "static": "Constant"}
COMPARED = {
    "alignedmtl",
    "cagrad",
    "config",
    "dwa",
    "fairgrad",
    "famo",
    "gls",
    "graddrop",
    "gradvac",
    "imtlg",
    "imtll",
    "mgda",
    "nashmtl",
    "pcgrad",
    "rlw",
    "static",
    "stch",
    "sum",
    "upgrad",
    "uw",
}


def golden(case: str) -> Tensor:
    return torch.tensor(CASES[case]["J"], dtype=torch.float64)


def drawn(tasks: int, seed: int, size: int = 30, spread: float = 1.0) -> Tensor:
    """Gradients in all directions, their lengths over 2 * spread orders of magnitude."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(tasks, size, generator=generator, dtype=torch.float64)
    exponents = torch.rand(tasks, 1, generator=generator, dtype=torch.float64) * 2 - 1
    return rows * 10 ** (spread * exponents)


def conflicting(tasks: int, seed: int) -> Tensor:
    """Gradients most of whose mean has been taken away, so that all of them conflict."""
    rows = drawn(tasks, seed, size=8, spread=0.0)
    return rows - 0.8 * rows.mean(dim=0)


def changed(tasks: int, factor: float) -> Tensor:
    """Gradients of which the last is a multiple of the first."""
    rows = drawn(tasks, 5)
    rows[-1] = factor * rows[0]
    return rows


SIZES = (2, 3, 5)
GENERAL = {
    **{case: golden(case) for case in "ABCD"},
    **{f"drawn {t}/{s}": drawn(t, s) for t in SIZES for s in range(3)},
    **{f"conflicting {t}/{s}": conflicting(t, s) for t in SIZES for s in range(3)},
    **{f"small {t}": drawn(t, 9) * 1e-3 for t in SIZES},
    **{f"large {t}": drawn(t, 9) * 1e6 for t in SIZES},
}
PARALLEL = {f"parallel {t}": changed(t, 2.0) for t in SIZES}
OPPOSED = {f"opposed {t}": changed(t, -0.5) for t in SIZES}
ZERO = {f"zero {t}": changed(t, 0.0) for t in SIZES}
HULL = {"E": golden("E"), **OPPOSED}  # some convex combination vanishes
ALL = {**GENERAL, **PARALLEL, **HULL, **ZERO}


def cases(given: dict[str, Tensor]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("rows", given.values(), ids=given.keys())


def make(name: str, tasks: int, seed: int = 0, **options: Any) -> Balancer:
    names = ["primary", *(f"aux{i}" for i in range(1, tasks))]
    balancer = METHODS[name](names, torch.Generator().manual_seed(seed), **options)
    assert isinstance(balancer, Balancer)
    return balancer


def weights_of(name: str, rows: Tensor, **options: Any) -> Tensor:
    return make(name, len(rows), **options).weights(Signals.of([1.0] * len(rows), rows))


def ours(name: str, rows: Tensor, **options: Any) -> Tensor:
    return weights_of(name, rows, **options) @ rows


def present(rows: Tensor) -> Tensor:
    """The gradients but for those of zero, which our solvers leave out and TorchJD's do not."""
    return rows[rows.norm(dim=1) > 0]


def agree(one: Tensor, other: Tensor, rows: Tensor, tolerance: float = 1e-10) -> None:
    """Two combinations of the rows agree, relative to their lengths, up to rounding of the rows."""
    slack = 1e-13 * float(rows.norm(dim=1).max())
    assert float((one - other).norm()) <= tolerance * float(one.norm()) + slack


def test_every_method_that_both_have_is_compared() -> None:
    theirs = {
        name.removesuffix("Weighting").casefold()
        for package in (aggregation, scalarization)
        for name in package.__all__
    }
    balancers = {name for name in METHODS.names() if issubclass(METHODS[name], Balancer)}
    both = {
        name
        for name in balancers
        if METHODS[name].__name__.casefold() in theirs or name in OTHER_NAMES
    }
    assert both == COMPARED
    assert {name.casefold() for name in OTHER_NAMES.values()} <= theirs


def test_the_package_does_without_torchjd() -> None:
    imports = re.compile(r"^\s*(import|from) torchjd\b", re.MULTILINE)
    files = [f for part in ("auxbench", "methods", "tasks") for f in (ROOT / part).rglob("*.py")]
    assert len(files) > 50
    assert not [f for f in files if imports.search(f.read_text(encoding="utf-8"))]


# Rules in closed form: the same numbers.


@cases(ALL)
@pytest.mark.parametrize("seed", range(3))
def test_pcgrad(rows: Tensor, seed: int) -> None:
    """Both sum, and both visit the tasks in the order of the same draws."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theirs = aggregation.PCGrad()(rows)
    balancer = make("pcgrad", len(rows), seed)
    agree(balancer.weights(Signals.of([1.0] * len(rows), rows)) @ rows, theirs, rows)


@pytest.mark.parametrize("tasks", SIZES)
def test_gradvac(tasks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sum. TorchJD draws its orders otherwise, so that one order is fixed here, adds 1e-8 to
    lengths, which is set to 0 here, and moves its targets by 0.5 unless told otherwise."""
    monkeypatch.setattr(torch, "randperm", lambda count, generator=None: torch.arange(count))
    balancer: Any = make("gradvac", tasks, beta=0.2)
    theirs = aggregation.GradVac(beta=0.2, eps=0.0)
    bent = 0
    for seed in range(20):
        rows = conflicting(tasks, seed) + drawn(1, seed, size=8)
        agree(balancer.weights(Signals.of([1.0] * tasks, rows)) @ rows, theirs(rows), rows)
        bent += bool(balancer.targets.abs().max() > 0.1)
    assert bent > 10  # the targets have moved: it is no longer PCGrad
    phi = theirs.gramian_weighting._phi_t
    torch.testing.assert_close(balancer.targets, phi, rtol=0, atol=1e-12)


@cases({**GENERAL, **PARALLEL, "E": golden("E"), **ZERO})
def test_config(rows: Tensor) -> None:
    agree(ours("config", rows), aggregation.ConFIG()(rows), rows)


@cases({**GENERAL, "E": golden("E"), **ZERO})
def test_imtlg(rows: Tensor) -> None:
    agree(ours("imtlg", rows), aggregation.IMTLG()(rows), rows)


@cases({**PARALLEL, **OPPOSED})
def test_imtlg_of_dependent_gradients(rows: Tensor) -> None:
    """TorchJD inverts the Gramian of gradients as they are, not of unit length. Of parallel ones
    both give a combination with equal projections, and there are many; of opposed ones there is
    none except zero, and TorchJD's projections differ."""
    unit = rows / rows.norm(dim=1, keepdim=True)
    weights = weights_of("imtlg", rows)
    projections = unit @ (weights @ rows)
    if rows[0] @ rows[-1] > 0:
        assert (projections - projections.mean()).abs().max() < 1e-10 * projections.abs().max()
        assert weights.sum().item() == pytest.approx(1)
    else:
        theirs = unit @ aggregation.IMTLG()(rows)
        assert (theirs - theirs.mean()).abs().max() > 0.1 * theirs.abs().max()
        if len(rows) == 2:
            assert weights.tolist() == [0.0, 0.0]


@cases(ALL)
@pytest.mark.parametrize("scale", ["min", "rmse", "median"])
def test_alignedmtl(rows: Tensor, scale: Any) -> None:
    """TorchJD prefers every task by 1 / T, the authors' code and ours by 1."""
    theirs = len(rows) * aggregation.AlignedMTL(scale_mode=scale)(rows)
    agree(ours("alignedmtl", rows, scale=scale), theirs, rows, 1e-9)


@cases(GENERAL)
@pytest.mark.parametrize("leak", [0.0, 0.25])
def test_graddrop(rows: Tensor, leak: float) -> None:
    """Both draw one float32 number per coordinate; ours returns a row per task."""
    single = rows.float()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = aggregation.GradDrop(leak=torch.full((len(rows),), leak))(single)
    edited = make("graddrop", len(rows), 3, leak=leak).edit([(row,) for row in single])
    combined = torch.stack([row[0] for row in edited if row[0] is not None]).sum(dim=0)
    torch.testing.assert_close(combined, theirs)


# Rules that solve a problem: TorchJD's solvers stop early, add constants, or fail.


@cases(ALL)
def test_upgrad(rows: Tensor) -> None:
    """Both take the mean. TorchJD adds 1e-4 to the diagonal of the normalised Gramian and takes one
    below 1e-4 for zero; as the first is made smaller and the second left out, it tends to ours."""
    pytest.importorskip("quadprog", reason=MISSING)
    from torchjd.linalg import QuadprogProjector

    direction, longest = ours("upgrad", rows), float(rows.norm(dim=1).max())
    distances = []
    for constant in (1e-4, 1e-8, 1e-12):
        projector = QuadprogProjector(norm_eps=0.0, reg_eps=constant)
        theirs = aggregation.UPGrad(projector=projector)(present(rows))
        distances.append(float((direction - theirs).norm()) / longest)
    assert distances[1] <= 1e-3 * distances[0] + 1e-12
    assert distances[2] <= 1e-8


def test_upgrads_default_is_off_by_its_regulariser() -> None:
    pytest.importorskip("quadprog", reason=MISSING)
    theirs, exact = aggregation.UPGrad()(golden("A")), torch.tensor([0.5, 1.0]).double()
    assert 1e-5 < (theirs - exact).norm() < 1e-3
    assert (ours("upgrad", golden("A")) - exact).norm() < 1e-14
    # What it takes for zero moves its step by more than half.
    faint = drawn(5, 9) * 1e-8
    agree(ours("upgrad", faint) * 1e8, ours("upgrad", faint * 1e8), faint * 1e8)
    theirs = aggregation.UPGrad()(faint)
    assert (theirs - ours("upgrad", faint)).norm() > 0.3 * theirs.norm()


@cases(ALL)
def test_mgda(rows: Tensor) -> None:
    """TorchJD stops Frank and Wolfe's algorithm early. In a convex set the squared distance of any
    point from the shortest one is at most the difference of their squared lengths."""
    longest = rows.norm(dim=1).max()
    weights = weights_of("mgda", rows)
    shortest, theirs = weights @ rows / longest, aggregation.MGDA()(present(rows)) / longest
    assert weights.min() >= 0
    assert weights.sum().item() == pytest.approx(1)
    assert (present(rows) / longest @ shortest).min() >= shortest @ shortest - 1e-14
    excess = theirs @ theirs - shortest @ shortest
    assert excess >= -1e-14
    assert (theirs - shortest).square().sum() <= excess + 1e-12


@cases({case: rows for case, rows in ALL.items() if len(rows) == 2})
def test_mgda_of_two_tasks(rows: Tensor) -> None:
    """With two tasks one step of Frank and Wolfe is exact."""
    agree(ours("mgda", rows), aggregation.MGDA()(present(rows)), rows)


def test_mgda_of_three_tasks_is_exact_where_theirs_is_not() -> None:
    exact = torch.tensor([4.0, 4.0, 6.0]).double() / 17
    assert (ours("mgda", golden("D")) - exact).norm() < 1e-14
    assert 1e-4 < (aggregation.MGDA()(golden("D")) - exact).norm() < 1e-2
    patient = aggregation.MGDA(epsilon=1e-12, max_iters=1000)(golden("D"))
    assert (patient - exact).norm() < 1e-10


@cases(GENERAL)
@pytest.mark.parametrize("c", [0.4, 0.8])
def test_cagrad(rows: Tensor, c: float) -> None:
    """Both give the paper's length. TorchJD hands the problem to a conic solver, which is good for
    four digits; of ours the duality gap is zero."""
    pytest.importorskip("clarabel", reason=MISSING)
    weights, mean = weights_of("cagrad", rows, c=c), rows.mean(dim=0)
    theirs = aggregation.CAGrad(c=c, norm_eps=0.0)(rows)
    agree(weights @ rows, theirs, rows, 5e-4)
    reach, scale = c * mean.norm(), rows.norm(dim=1).max() * mean.norm()
    assert (weights @ rows - mean).norm() <= reach * (1 + 1e-12)
    mixture = weights - 1 / len(rows)
    mixture = (mixture / mixture.sum()) @ rows
    dual = mixture @ mean + reach * mixture.norm()
    assert (dual - (rows @ (weights @ rows)).min()).abs() <= 1e-12 * scale
    assert (rows @ theirs).min() <= dual + 1e-7 * scale


@pytest.mark.parametrize("case", ["E", "opposed 2"])
def test_cagrad_where_standing_still_is_out_of_reach(case: str) -> None:
    """Some convex combination vanishes, but not the one that CAGrad is after."""
    pytest.importorskip("clarabel", reason=MISSING)
    rows = HULL[case]
    agree(ours("cagrad", rows, c=0.5), aggregation.CAGrad(c=0.5)(rows), rows, 5e-4)


@pytest.mark.parametrize("case", ["opposed 3", "opposed 5", "zero 5"])
def test_cagrad_where_the_worst_served_can_be_spared(case: str) -> None:
    """The mixture that CAGrad is after vanishes and tells no direction. TorchJD gives up and
    returns zero, which is out of reach; the mean's projection off all conflicts is within it."""
    rows = present(ALL[case])
    mean = rows.mean(dim=0)
    multipliers, _ = nnls(rows.T.numpy(), -mean.numpy())
    spared = mean + torch.from_numpy(multipliers) @ rows
    slack = 1e-12 * rows.norm(dim=1).max() * mean.norm()
    assert (spared - mean).norm() < 0.99 * mean.norm() / 2
    assert (rows @ spared).min() > -slack
    assert (rows @ ours("cagrad", rows, c=0.5)).min() > -slack


def unevenness(weights: Tensor, rows: Tensor, power: float = 1.0) -> float:
    """Return the spread of a^power (G a) over the tasks; 0 solves the bargaining problem.

    Lengths drop out: bargains of any length have it, clipped or not.
    """
    shares = weights**power * (rows @ (weights @ rows))
    value = float((shares / shares.mean() - 1).abs().max())
    return value if weights.min() > 0 else float("inf")


NASH = {
    case: rows
    for case, rows in GENERAL.items()
    if case in "ABCD" or case.endswith(("/0", "large 2", "large 3", "small 2", "small 3"))
}


@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem:UserWarning")
@pytest.mark.filterwarnings("ignore:Solution may be inaccurate:UserWarning")
@pytest.mark.filterwarnings("ignore:divide by zero encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_nashmtl() -> None:
    """Both clip to the length 1, which is below the root of T here, so that lengths agree. Wherever
    the cone solver under TorchJD's iteration gets there, it gets to our solution, and where it does
    not, as in case A, where a row of the Gramian sums to zero, ours is still one."""
    pytest.importorskip("ecos", reason="ecos is missing; Python 3.13 has no wheels of it")
    solved, failed = set(), set()
    for case, rows in NASH.items():
        weights = weights_of("nashmtl", rows)
        assert unevenness(weights, rows) < 1e-10, case
        assert (weights @ rows).norm().item() == pytest.approx(1)
        aggregator = aggregation.NashMTL(n_tasks=len(rows))
        theirs = aggregator(rows)
        found = torch.from_numpy(aggregator.weighting.prvs_alpha).double()
        if unevenness(found, rows) < 1e-5:
            agree(weights @ rows, theirs, rows, 1e-5)
            solved.add(case)
        else:
            failed.add(case)
    assert {"B", "C", "D", "conflicting 2/0", "conflicting 3/0"} <= solved
    assert "A" in failed


@cases({**GENERAL, **PARALLEL, **{case: rows for case, rows in ZERO.items() if len(rows) > 2}})
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_fairgrad(rows: Tensor, alpha: float) -> None:
    """Neither clips. TorchJD's least squares stop by absolute tolerances, so that small gradients
    are solved to fewer digits; of ours the residual is rounding."""
    weights = weights_of("fairgrad", rows, alpha=alpha, max_norm=None)
    assert unevenness(weights[weights > 0], present(rows), 1 / alpha) < 1e-10
    faint = bool(rows.norm(dim=1).max() < 0.1)
    theirs = aggregation.FairGrad(alpha=alpha)(rows)
    agree(weights @ rows, theirs, rows, 1e-2 if faint else 1e-6)


# Rules that weigh losses: TorchJD's scalar is differentiated in the losses, which gives weights.

LOSSES = [torch.rand(3, generator=torch.Generator().manual_seed(s)) + 0.1 for s in range(12)]


def derivatives(scalarizer: Callable[[Tensor], Tensor], losses: Tensor) -> Tensor:
    """The weights [T] by which a scalar made of losses [T] multiplies their gradients."""
    values = losses.double().requires_grad_()
    (weights,) = torch.autograd.grad(scalarizer(values), values)
    return weights


def signals(losses: Tensor) -> Signals:
    return Signals.of(losses.double().tolist(), torch.eye(len(losses)))


@pytest.mark.parametrize("losses", LOSSES[:3], ids=str)
def test_sum_static_and_gls(losses: Tensor) -> None:
    fixed = torch.tensor([1.0, 0.3, 2.0], dtype=torch.float64)
    for balancer, theirs in (
        (make("sum", 3), scalarization.Sum()),
        (make("static", 3, aux1=0.3, aux2=2.0), scalarization.Constant(fixed)),
        (make("gls", 3), scalarization.GeometricMean()),
    ):
        torch.testing.assert_close(balancer.weights(signals(losses)), derivatives(theirs, losses))


def test_rlw() -> None:
    """TorchJD's weights sum to 1, ours to the number of tasks; the draws are the same."""
    balancer = make("rlw", 3, seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for losses in LOSSES:
            theirs = 3 * derivatives(scalarization.Random(), losses)
            torch.testing.assert_close(balancer.weights(signals(losses)), theirs)


@pytest.mark.parametrize(("name", "maker"), [("uw", "UW"), ("imtll", "IMTLL")])
def test_learned_scales(name: str, maker: str) -> None:
    """TorchJD leaves the learned numbers to the user's optimiser; ours have an own Adam."""
    balancer, theirs = make(name, 3, rate=0.05), getattr(scalarization, maker)(3).double()
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.05)
    for losses in LOSSES:
        weights = balancer.weights(signals(losses))
        torch.testing.assert_close(weights, derivatives(theirs, losses))
        optimizer.zero_grad()
        theirs(losses.double()).backward()
        optimizer.step()
    assert weights.std() > 0.01


def test_dwa() -> None:
    """TorchJD is told where an epoch ends; ours has windows of a number of batches."""
    balancer, theirs = make("dwa", 3, window=3), scalarization.DWA()
    for step, losses in enumerate(LOSSES):
        weights = balancer.weights(signals(losses))
        torch.testing.assert_close(weights, derivatives(theirs, losses))
        if step % 3 == 2:
            theirs.step()
    assert weights.std() > 0.01


def test_famo() -> None:
    """Both use a floor of 1e-8, Adam and its decay; TorchJD is told the losses after the step."""
    balancer: Any = make("famo", 3)
    theirs = scalarization.FAMO(3).double()
    for before, after in pairwise(LOSSES):
        weights = balancer.weights(signals(before))
        torch.testing.assert_close(weights, derivatives(theirs, before))
        balancer.learn(balancer.gradient(after.double()))
        theirs.update(after.double())
    assert weights.std() > 0.01


@pytest.mark.parametrize("mu", [0.1, 1.0])
def test_stch(mu: float) -> None:
    """TorchJD's is of the losses, and it prefers every task by 1 / T; ours, as in the authors' code
    for networks, of their logarithms over the nadir, times T. So it gets these, and 1."""
    balancer = make("stch", 3, mu=mu, warmup=0)
    theirs = scalarization.STCH(mu, weights=torch.ones(3, dtype=torch.float64))
    for losses in LOSSES:
        expected = derivatives(lambda values: 3 * theirs(values.log()), losses)
        torch.testing.assert_close(balancer.weights(signals(losses)), expected)


# From losses to `.grad`.


@pytest.mark.parametrize(("name", "maker"), [("pcgrad", "PCGrad"), ("config", "ConFIG")])
def test_gradients_written_to_a_network(name: str, maker: str) -> None:
    """We find on the graph the shared part that TorchJD is told; heads keep their own gradient."""
    from torchjd.autojac import jac_to_grad, mtl_backward

    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh()).double()
    heads = nn.ModuleList([nn.Linear(5, size) for size in (1, 2, 3)]).double()
    parameters = [*trunk.parameters(), *heads.parameters()]
    inputs, goals = torch.randn(16, 6).double(), [torch.randn(16, n).double() for n in (1, 2, 3)]

    features = trunk(inputs)
    losses = [(head(features) - goal).abs().mean() for head, goal in zip(heads, goals, strict=True)]
    balancer = make(name, 3, seed=1)
    gradients = Gradients(losses, parameters)
    gradients.write(balancer.weights(gradients.signals), torch.ones(3))
    written = [parameter.grad for parameter in parameters]

    features = trunk(inputs)
    losses = [(head(features) - goal).abs().mean() for head, goal in zip(heads, goals, strict=True)]
    for parameter in parameters:
        parameter.grad = None
    with torch.random.fork_rng():
        torch.manual_seed(1)
        mtl_backward(losses, features=features)
        jac_to_grad(trunk.parameters(), getattr(aggregation, maker)())
    torch.testing.assert_close(written, [parameter.grad for parameter in parameters])
