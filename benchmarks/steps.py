"""Time steps of every method, beside TorchJD's, against the plain sum of 2, 3 and 5 tasks.

ResNet-18 trunk, 96 x 96 pixels, batch 32. All contestants have the same modules, data and
optimiser. They take turns step by step, in groups that fit into memory, and every group has a plain
sum of its own: a ratio is the median over rounds of the ratio to the plain sum of the same round,
so that drift of the machine falls on all alike:

    python benchmarks/steps.py --json benchmarks/steps.json --page benchmarks/README.md

With `--libmtl DIR` the steps of LibMTL stand beside them, from a checkout or an unpacked wheel.
"""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import metadata
from itertools import repeat
from pathlib import Path
from typing import Any, cast

import click
import libmtl
import numpy as np
import timing
import torch
from timing import Clock, Ratio, Step, cell, measure, middle
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from auxbench.contract.dry_run import SINGLE, TASKS
from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch, Task
from auxbench.data.kinds import Classes, Label, Map
from auxbench.data.loader import Loader
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.execution.environment import environment
from auxbench.networks import backbone
from auxbench.networks.builder import Builder
from auxbench.spec.budget import BUDGETS, Recipe
from auxbench.spec.grammar import Choice, options_of, split_list
from auxbench.spec.method import SHARING, Method
from auxbench.spec.registry import METHODS
from auxbench.training.architecture import Architecture
from auxbench.training.balancer import Balancer
from auxbench.training.chain import make_balancers
from auxbench.training.compiled import Compiled
from auxbench.training.learner import Learner, start
from auxbench.training.phase import LazyBatches

BACKBONE, SIDE, BATCH, TOGETHER = "resnet18", 96, 32, 8
DEVICE = "cpu"
SHARPER = 4  # times as many rounds of those that have a bar, whose ratios are near it
RECIPE = BUDGETS["standard"]
POOL = (
    Task("segmentation", Classes(13)),
    Task("edges", Map()),
    Task("scene", Label(5)),
    Task("depth", Map()),
    Task("normals", Map(3)),
)
BARGAINERS, BARGAIN_LIMIT = (2, 3, 5, 10, 20), 1.0  # tasks; milliseconds
BARE_LIMIT = 1.03
KEEPING = "pcgrad:every=10"
CHAIN = "auxnas+pcgrad"
FIRST, LAST = "<!-- steps -->\n", "<!-- /steps -->"

Contestant = dict[str, Ratio]  # "ours" and, where there are, "torchjd" and "libmtl"


def balancers() -> list[str]:
    """Every registered balancer but the plain sum."""
    parts = {name: METHODS[name] for name in METHODS.names()}
    return [n for n, part in parts.items() if issubclass(part, Balancer) and part.overrides]


def architectures() -> list[str]:
    """Every registered architecture that trains auxiliaries, but the plain sum's."""
    parts = {name: METHODS[name] for name in METHODS.names()}
    families = {name: part for name, part in parts.items() if issubclass(part, Architecture)}
    return [name for name, part in families.items() if name not in (SINGLE, SHARING)]


def limit(method: str, tasks: int) -> float | None:
    """The ratio to the plain sum that a method has to stay below, where there is such a bar.

    Rules with phases of their own, such as learning on held-out data, have none.
    """
    if method == KEEPING:
        return 1.2 if tasks == 3 else None
    if method not in METHODS:  # a chain
        return None
    part = METHODS[method]
    if not issubclass(part, Balancer) or part.overrides & {"before", "after", "around"}:
        return None
    if method in ("dwa", "rlw", "uw"):
        return 1.05
    if method == "gradnorm":
        return 1.12 if tasks == 3 else None
    (made,) = make_balancers(Method.parse(method), TASKS[:3], TASKS[:3], Seeds("", 0))
    if made.reads == {"inner"} and tasks == 5:
        return 2.8
    return 2.4 if made.reads and made.reads <= {"gramian", "inner"} and tasks == 3 else None


@cache
def batch(tasks: int) -> Batch:
    """One synthetic batch, the same for everybody."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randint, generator=generator)
    inputs = torch.randn(BATCH, 3, SIDE, SIDE, generator=generator)
    targets = {}
    for task in POOL[:tasks]:
        place = (BATCH, SIDE, SIDE) if task.dense else (BATCH,)
        if task.kind.classes:
            targets[task.name] = draw(0, task.kind.classes, place)
        else:
            shape = (BATCH, task.outputs, SIDE, SIDE)
            targets[task.name] = torch.rand(shape, generator=generator)
    return Batch(inputs.to(DEVICE), {name: each.to(DEVICE) for name, each in targets.items()})


def builder(tasks: int) -> Builder:
    """Build every contestant: the same backbone and heads from the same random streams."""
    make_backbone = partial(backbone.build, BACKBONE, SIDE)
    return Builder(POOL[:tasks], make_backbone, Seeds("steps", 0, "1"))


# Contestants.


class Ours:
    """Iterations of a method as a run makes them, drawing and relabelling of batches included.

    As in a run, network and batches have channels last. `period` is that of what recurs in its
    iterations, 1 for most methods. Errors: `UsageError` where a compiled `recipe` fails.
    """

    def __init__(self, method: str, tasks: int, recipe: Recipe = RECIPE) -> None:
        here = builder(tasks)
        self.meter, self.seeds = Meter(DEVICE), here.seeds
        self.learner: Learner = start(Method.parse(method), here, recipe, self.meter, DEVICE)
        self.learner.architecture.train()
        self.stage = self.learner.stages[-1]
        self.source = {split: cast(Loader, repeat(batch(tasks))) for split in self.stage.splits}
        if recipe.compiled:
            self._compile(batch(tasks))
        recurring = [phase.period for phase in self.stage.phases]
        recurring += [balancer.period for balancer in self.learner.balancers]
        self.period = max(recurring)

    def __call__(self) -> None:
        self.learner.architecture.enter(self.stage.name)
        with self.seeds.seeded("dropout", self.stage.name, 0):
            batches = LazyBatches(self.source, self.prepare)
            for phase in self.stage.phases:
                with self.meter.phase(phase.name):
                    phase.step(batches)

    def prepare(self, batch: Batch) -> Batch:
        """The batch as the phases of a run see it."""
        return self.learner.relabel(batch.to(DEVICE))

    def _compile(self, batch: Batch) -> None:
        objective = self.learner.objective
        compiled = Compiled(self.learner.architecture, objective.precision)
        compiled.prepare(batch.to(DEVICE).inputs, self.seeds)
        if compiled.failed:
            raise UsageError(f"the network is not compiled: {compiled.failed}")
        objective.compiled = compiled


class Hand:
    """The same network, losses and optimiser as somebody would write them by hand.

    They are in single precision. Network and batch have torch's own layout, channels first, unless
    `layout` is that of a run, `torch.channels_last`.
    """

    def __init__(
        self,
        tasks: int,
        more: Sequence[nn.Parameter] = (),
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        here = builder(tasks)
        network = here.network(here.tasks[0])
        rest = [here.head(task, network.backbone) for task in here.tasks[1:]]
        self.trunk = network.backbone.to(DEVICE, memory_format=layout)
        self.heads = nn.ModuleList([network.head, *rest]).to(DEVICE, memory_format=layout)
        parameters = [*self.trunk.parameters(), *self.heads.parameters(), *more]
        self.optimizer = torch.optim.AdamW(
            parameters, RECIPE.learning_rate, weight_decay=RECIPE.weight_decay
        )
        data = batch(tasks)
        self.inputs = data.inputs.contiguous(memory_format=layout)
        self.targets = list(data.targets.values())
        cross = nn.CrossEntropyLoss(ignore_index=-1)
        self.criteria = [cross if task.kind.classes else l1_loss for task in here.tasks]

    def features(self) -> list[Tensor]:
        """The maps that all heads read."""
        maps: list[Tensor] = self.trunk(self.inputs)
        return maps

    def losses(self, features: Sequence[Tensor]) -> list[Tensor]:
        """A scalar per task."""
        predictions = [head(features, (SIDE, SIDE)) for head in self.heads]
        triples = zip(self.criteria, predictions, self.targets, strict=True)
        return [criterion(guess, goal) for criterion, guess, goal in triples]


def bare(tasks: int) -> Step:
    """The plain sum by hand."""
    hand = Hand(tasks)

    def step() -> None:
        losses = hand.losses(hand.features())
        total = sum(losses[1:], start=losses[0])
        hand.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        total.item()
        hand.optimizer.step()

    return step


def torchjd_version() -> str | None:
    """The installed release of TorchJD."""
    try:
        return metadata.version("torchjd")
    except metadata.PackageNotFoundError:
        return None


def aggregator(method: str, tasks: int) -> Any | None:
    """TorchJD's combination of gradients by that method, with our options, if it has one.

    Errors: `ImportError` where it lacks the solver that it wants.
    """
    from torchjd import aggregation

    makers: dict[str, Callable[[], object]] = {
        "alignedmtl": aggregation.AlignedMTL,
        "cagrad": partial(aggregation.CAGrad, c=0.5),
        "config": aggregation.ConFIG,
        "fairgrad": partial(aggregation.FairGrad, alpha=2.0),
        "graddrop": aggregation.GradDrop,
        "gradvac": partial(aggregation.GradVac, beta=0.01),
        "imtlg": aggregation.IMTLG,
        "mgda": aggregation.MGDA,
        "nashmtl": partial(aggregation.NashMTL, n_tasks=tasks),
        "pcgrad": aggregation.PCGrad,
        "upgrad": aggregation.UPGrad,
    }
    return makers[method]() if method in makers else None


def scalarizer(method: str, tasks: int) -> Any | None:
    """TorchJD's combination of losses by that method, if it has one."""
    from torchjd import scalarization

    makers: dict[str, Callable[[], object]] = {
        "dwa": scalarization.DWA,
        "famo": partial(scalarization.FAMO, tasks),
        "gls": scalarization.GeometricMean,
        "imtll": partial(scalarization.IMTLL, tasks),
        "rlw": scalarization.Random,
        "static": partial(scalarization.Constant, torch.ones(tasks)),
        "stch": partial(scalarization.STCH, 1.0),
        "uw": partial(scalarization.UW, tasks),
    }
    return makers[method]() if method in makers else None


def torchjd(method: str, tasks: int) -> Step | None:
    """The method as TorchJD documents its use; None where it has none or is not installed."""
    if torchjd_version() is None:
        return None
    try:
        combine, scalar = aggregator(method, tasks), scalarizer(method, tasks)
    except ImportError as error:
        click.echo(f"{method} by TorchJD is left out: {error}", err=True)
        return None
    if combine is not None:
        return _by_gradients(Hand(tasks), combine)
    if scalar is not None:
        scalar = scalar.to(DEVICE)
        learned = () if method == "famo" else list(scalar.parameters())
        return _by_losses(Hand(tasks, learned), scalar)
    return None


def _by_gradients(hand: Hand, combine: Any) -> Step:
    from torchjd.autojac import jac_to_grad, mtl_backward

    def step() -> None:
        # None of the features may be computed from another one, or TorchJD would follow the path
        # between them twice. Views are computed from the maps alone.
        features = [each.view_as(each) for each in hand.features()]
        losses = hand.losses(features)
        torch.stack(losses).sum().item()
        hand.optimizer.zero_grad()
        # Its default differentiates all tasks in one vectorised pass, which is slower on a CPU.
        at_once = 1 if DEVICE == "cpu" else None
        mtl_backward(losses, features=features, parallel_chunk_size=at_once)
        jac_to_grad(hand.trunk.parameters(), combine)
        hand.optimizer.step()

    return step


def _by_losses(hand: Hand, scalar: Any) -> Step:
    def step() -> None:
        total = scalar(torch.stack(hand.losses(hand.features())))
        hand.optimizer.zero_grad()
        total.backward()
        total.item()
        hand.optimizer.step()
        if hasattr(scalar, "update"):  # FAMO looks at the losses again
            with torch.no_grad():
                scalar.update(torch.stack(hand.losses(hand.features())))

    return step


# Measuring.


@dataclass
class Group:
    """Some methods and the plain sum, by hand and through auxbench, which are timed together."""

    steps: dict[str, Step]
    periods: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, methods: Sequence[str], tasks: int, checkout: Path | None = None) -> Group:
        """Build everybody who can be built for this many tasks, LibMTL's from its checkout."""
        group = cls({"bare loop": bare(tasks), "plain sum": Ours("hps", tasks)})
        for method in methods:
            try:
                group._add(method, tasks, checkout)
            except UsageError as error:
                group.refused[method] = str(error)
        return group

    def _add(self, method: str, tasks: int, checkout: Path | None) -> None:
        ours = Ours(method, tasks)
        self.steps[f"{method}, ours"] = ours
        always = recurring(method) if ours.period > 1 else None
        if always:
            # The median sees the steps without what recurs; these are the others.
            self.steps[f"{method}, recurring"] = Ours(always, tasks)
            self.periods[method] = ours.period
        peers = {"TorchJD": torchjd(method, tasks)}
        if checkout:
            peers["LibMTL"] = libmtl.step(method, tasks, checkout, Hand, DEVICE)
        self.steps |= {f"{method}, {whose}": peer for whose, peer in peers.items() if peer}


def recurring_option(method: str) -> str | None:
    """The option of a single part that says in every how many steps something recurs.

    >>> [recurring_option(method) for method in ("arml", "pcgrad:every=10", "uw")]
    ['every', 'every', None]
    """
    name = Choice.parse(method).name
    return "every" if name in METHODS and "every" in options_of(METHODS[name]) else None


def recurring(method: str) -> str | None:
    """The same method with what recurs in every step, if an option says in how many it does.

    >>> recurring("arml"), recurring("pcgrad:every=10"), recurring("uw")
    ('arml:every=1', 'pcgrad:every=1', None)
    """
    every, choice = recurring_option(method), Choice.parse(method)
    return str(Choice(choice.name, {**choice.options, every: "1"})) if every else None


def average(ordinary: float, recurring: float, period: int) -> float:
    """The cost of a step where one in `period` steps costs something else.

    >>> average(1.0, 5.0, 4)
    2.0
    """
    return ((period - 1) * ordinary + recurring) / period


def summary(group: Group, seconds: Mapping[str, Sequence[float]]) -> dict[str, Contestant]:
    """Per method the ratios to the plain sum, each with its interval over the rounds."""
    result: dict[str, Contestant] = {}
    for name, values in seconds.items():
        method, _, whose = name.rpartition(", ")
        if whose not in ("ours", "TorchJD", "LibMTL"):
            continue
        if whose == "ours" and method in group.periods:
            pairs = zip(values, seconds[f"{method}, recurring"], strict=True)
            values = [average(*pair, group.periods[method]) for pair in pairs]
        found = timing.by_round(values, seconds["plain sum"])
        result.setdefault(method, {})[whose.lower()] = found
    return result


def contest(
    methods: Sequence[str],
    tasks: int,
    rounds: int,
    clock: Clock = time.perf_counter,
    checkout: Path | None = None,
) -> dict[str, Any]:
    """Everything about this number of tasks, as it goes into the JSON file."""
    plain: dict[str, list[float]] = {"bare loop": [], "plain sum": []}
    ratios: dict[str, Contestant] = {}
    medians: dict[str, float] = {}
    refused: dict[str, str] = {}
    bars = {method: bar for method in methods if (bar := limit(method, tasks)) is not None}
    others = [method for method in methods if method not in bars]
    for kind, turns in ((list(bars), SHARPER * rounds), (others, rounds)):
        for first in range(0, len(kind), TOGETHER):
            group = Group.of(kind[first : first + TOGETHER], tasks, checkout)
            seconds = measure(group.steps, turns, clock)
            ratios |= summary(group, seconds)
            refused |= group.refused
            medians |= {name: round(statistics.median(s), 4) for name, s in seconds.items()}
            for name, values in plain.items():
                values += seconds[name]
            click.echo(f"{tasks} tasks: {', '.join(kind[first : first + TOGETHER])}", err=True)
    overall = {name: round(statistics.median(values), 4) for name, values in plain.items()}
    return {
        "plain sum / bare loop": timing.by_round(plain["plain sum"], plain["bare loop"]),
        "ratios": ratios,
        "limits": {method: bar for method, bar in bars.items() if method in ratios},
        "seconds": medians | overall,
        "refused": refused,
    }


def bargains(draws: int = 40) -> dict[str, dict[str, float]]:
    """Median milliseconds of one Nash bargain alone, ours and TorchJD's, by the number of tasks."""
    result = {}
    for tasks in BARGAINERS:
        generator = np.random.default_rng(tasks)
        lengths = 10 ** generator.uniform(-1, 1, (draws, tasks, 1))
        rows = lengths * generator.standard_normal((draws, tasks, 1_000))
        gramians = rows @ rows.transpose(0, 2, 1)
        balancer = METHODS["nashmtl"](list(map(str, range(tasks))), torch.Generator())
        result[str(tasks)] = {"ours": _milliseconds(balancer.direction, list(gramians))}
        if (peer := _bargainer(tasks)) is not None:
            given = [torch.from_numpy(part) for part in rows[:5]]
            result[str(tasks)]["torchjd"] = _milliseconds(peer, given)
    return result


def _bargainer(tasks: int) -> Any | None:
    try:
        return aggregator("nashmtl", tasks)
    except ImportError:
        return None


def _milliseconds(solve: Callable[[Any], object], given: Sequence[object]) -> float:
    solve(given[0])
    seconds = []
    for argument in given:
        start = time.perf_counter()
        solve(argument)
        seconds.append(time.perf_counter() - start)
    return round(1e3 * statistics.median(seconds), 3)


# The page.


def table(result: Mapping[str, Any]) -> str:
    """The Markdown of a result: the plain sum, all methods by their cost, the bargains."""
    contests: dict[str, Any] = result["tasks"]
    peers = ("TorchJD", "LibMTL") if "libmtl" in result else ("TorchJD",)
    columns = "".join(f" {peer} / plain sum |" for peer in peers)
    head = "".join(f" {n} tasks: ours / plain sum |{columns}" for n in contests)
    lines = [f"| method |{head}", "|:--|" + "--:|" * (1 + len(peers)) * len(contests)]
    nothing = " |" * (1 + len(peers))
    plain = (cell(c["plain sum / bare loop"], BARE_LIMIT) + nothing for c in contests.values())
    lines.append("| plain sum / the same loop by hand | " + " ".join(plain))
    ranked = contests["3"] if "3" in contests else next(iter(contests.values()))
    methods = {method for contest in contests.values() for method in contest["ratios"]}
    for method in sorted(methods, key=partial(_rank, ranked["ratios"])):
        cells = []
        for contest in contests.values():
            ratios = contest["ratios"].get(method, {})
            cells.append(cell(ratios.get("ours"), contest["limits"].get(method)))
            cells += [cell(ratios.get(peer.lower())) for peer in peers]
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    lines += ["", "| one Nash bargain | ours, ms | TorchJD, ms |", "|:--|--:|--:|"]
    for tasks, milliseconds in result["bargains"].items():
        ours, theirs = milliseconds["ours"], milliseconds.get("torchjd")
        cells = [cell(ours, BARGAIN_LIMIT), cell(theirs)]
        lines.append(f"| {tasks} tasks | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_notes(result), ""])


def _rank(ratios: Mapping[str, Contestant], method: str) -> tuple[float, str]:
    ours = ratios.get(method, {}).get("ours")
    return float("inf") if ours is None else middle(ours), method


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    machine, versions = result["environment"], result["environment"]["packages"]
    rounds, sharper = result["rounds"], result["rounds with a bar"]
    counted = ""
    if "clock" in result:  # without it, bare medians of an earlier script
        counted = (
            f"of {result['clock']}, {timing.brackets(rounds, sharper)}; "
            f"{timing.loads(result['load'])}, "
        )
    peers = f"TorchJD {result['torchjd'] or 'not installed'}"
    peers += f", LibMTL {result['libmtl']}" if "libmtl" in result else ""
    yield (
        f"Medians of {rounds} rounds, {sharper} of what has a bar, {counted}"
        f"on {machine['processor']} with "
        f"{result['threads']} threads, torch {versions['torch']}, {peers}, "
        f"at commit {(machine['commit'] or '?')[:7]}."
    )
    refused = dict[str, str]()
    for contest in result["tasks"].values():
        refused |= contest["refused"]
    for method, why in refused.items():
        yield f"Without `{method}`: {why}"


def publish(
    result: Mapping[str, Any],
    block: str,
    target: Path | None,
    page: Path | None,
    opening: str = FIRST,
    closing: str = LAST,
) -> None:
    """Print the table, and write the result as JSON and the table into a page where asked."""
    click.echo(block)
    if target:
        target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if page:
        text = refreshed(page.read_text(encoding="utf-8"), block, opening, closing)
        page.write_text(text, encoding="utf-8")


def refreshed(page: str, block: str, opening: str = FIRST, closing: str = LAST) -> str:
    """The page with the block between its marks replaced; errors: `UsageError` without marks.

    >>> refreshed("a <!-- steps -->\\nold\\n<!-- /steps --> b", "new\\n")
    'a <!-- steps -->\\nnew\\n<!-- /steps --> b'
    """
    before, first, rest = page.partition(opening)
    _, last, after = rest.partition(closing)
    if not first or not last:
        raise UsageError(
            f"the page lacks the marks '{opening.strip()}' and '{closing}'; put them in."
        )
    return f"{before}{first}{block}{last}{after}"


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--page", type=click.Path(path_type=Path), help="Whose table to replace.")
@click.option("--tasks", default="2,3,5", show_default=True, help="Numbers of tasks.")
@click.option("--methods", help=f"All, {CHAIN} and {KEEPING}, by default.")
@click.option(
    "--rounds",
    default=4,
    show_default=True,
    help=f"Steps of everybody; {SHARPER} times as many of those that have a bar.",
)
@click.option("--threads", type=int, help="Threads of torch; its own choice by default.")
@click.option("--cpu", is_flag=True, help="Count seconds of the processor, for busy machines.")
@click.option(
    "--libmtl",
    "checkout",
    type=click.Path(path_type=Path),
    help="Root of a LibMTL checkout, or folder of an unpacked wheel; its steps get a column.",
)
def main(
    target: Path | None,
    page: Path | None,
    tasks: str,
    methods: str | None,
    rounds: int,
    threads: int | None,
    cpu: bool,
    checkout: Path | None,
) -> None:
    """Print the table, and write it into the page and all numbers as JSON."""
    try:
        peer = {"libmtl": libmtl.version(libmtl.checked(checkout))} if checkout else {}
    except UsageError as error:
        raise click.BadParameter(str(error), param_hint="--libmtl") from None
    if threads:
        torch.set_num_threads(threads)
    # The solvers under TorchJD's Nash-MTL tell of their troubles on every call.
    warnings.filterwarnings("ignore", module=r"(cvxpy|torchjd)\b")
    usual = [*balancers(), *architectures(), CHAIN, KEEPING]
    names = split_list(methods) if methods else usual
    before, (counted, clock) = timing.load(), timing.clock_of(cpu)
    contests = {n: contest(names, int(n), rounds, clock, checkout) for n in split_list(tasks)}
    result = {
        "tasks": contests,
        "bargains": bargains(),
        "rounds": rounds,
        "rounds with a bar": SHARPER * rounds,
        "clock": counted,
        "load": {"before": before, "after": timing.load()},
        "threads": torch.get_num_threads(),
        "torchjd": torchjd_version(),
        **peer,
        "environment": environment(),
    }
    publish(result, table(result), target, page)


if __name__ == "__main__":
    main()
