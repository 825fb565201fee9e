"""Studies: problems x backbones x methods x seeds, what of them is done, and doing the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from auxbench.budget import PROTOCOL, Recipe, budget
from auxbench.catalogue import HEAD
from auxbench.errors import UsageError
from auxbench.grammar import Choice, split_list
from auxbench.runs import Run
from auxbench.store import RESULTS, Store
from auxbench.weights import keep

if TYPE_CHECKING:
    import pandas

Words = str | Sequence[str]
Seeds = int | str | Sequence[int]

CHANGES = (
    "steps",
    "batch",
    "side",
    "learning_rate",
    "weight_decay",
    "optimizer",
    "schedule",
    "chunks",
)
SEEDS = "write how many, such as 5, or which, such as 5-9 or 0,3,5."
FINAL = frozenset({"done", "diverged", "skipped"})  # another attempt would end the same way


class Split(NamedTuple):
    """The runs of a study: done, and to be run; of these some are recorded and `stale`.

    `stale` says by their ids why they are run again.
    """

    done: list[Run]
    missing: list[Run]
    stale: dict[str, str]


@dataclass(frozen=True)
class Study:
    """What the user asked for, resolved and checked: a matrix of runs."""

    runs: tuple[Run, ...]

    @classmethod
    def of(
        cls,
        methods: Words,
        dataset: Words,
        *,
        backbone: Words | None = None,
        primary: str | None = None,
        auxiliary: Words | None = None,
        seeds: Seeds = 3,
        budget: str = "small",
        pretrained: bool = False,
        weights: str | Path | None = None,
        head: str = HEAD,
        **changes: Any,
    ) -> Study:
        """Resolve names, options and tasks; lists may be given as text with commas.

        Without a backbone every data set has its own choice. `seeds` are read by `seeds_of`,
        `weights` is a file that the backbone
        starts from, and `head` is that of tasks which predict maps.

        `changes` replace single values of the budget, which is then marked with a star. Errors:
        `UsageError` for anything unknown or contradictory, before anything runs.
        """
        from auxbench import heads

        recipe = _recipe(budget, changes)
        wanted = seeds_of(seeds)
        if pretrained and weights:
            raise UsageError(f"weights '{weights}' contradict --pretrained; leave one of them out.")
        cells = [
            (problem, where, net, method)
            for problem, where in _problems(_words(dataset, "dataset"), recipe, primary, auxiliary)
            for net in _backbones(problem[0] + where, recipe, backbone, pretrained or bool(weights))
            for method in _methods(_words(methods, "methods"), problem)
        ]
        head = heads.resolve(head)
        digest = keep(Path(weights)) if weights else ""
        return cls(
            tuple(
                Run(
                    *problem,
                    net,
                    pretrained,
                    method,
                    recipe,
                    seed,
                    head=head,
                    weights=digest,
                    where=where,
                )
                for seed in wanted
                for problem, where, net, method in cells
            )
        )

    def split(self, store: Store, retry: bool = False) -> Split:
        """What of the study is done and what is to be run; `retry` counts failed runs in."""
        from auxbench import provenance

        data = {
            key: _identity(*key) for key in {(run.located, run.recipe.side) for run in self.runs}
        }
        records = {record["id"]: record for record in store.records()}
        final = {"done"} if retry else FINAL
        split = Split([], [], {})
        for run in self.runs:
            known = records.get(run.id)
            if known is None or known["status"] not in final:
                split.missing.append(run)
            elif why := provenance.stale(known, data[run.located, run.recipe.side]):
                split.missing.append(run)
                split.stale[run.id] = why
            else:
                split.done.append(run)
        return split


def run(
    methods: Words,
    dataset: Words,
    *,
    results: str | Path = RESULTS,
    device: str = "auto",
    jobs: int | None = None,
    threads: int | None = None,
    retry: bool = False,
    quiet: bool = False,
    **words: Any,
) -> pandas.DataFrame:
    """Carry out a study and return one row per run, those recorded before included.

    The same words as on the command line: `backbone`, `primary`, `auxiliary`, `seeds`, `budget`,
    `pretrained`, `weights`, `head`, and single values of the budget such as `steps`. Every run is a
    process of its own, `jobs` of them at a time with `threads` threads each, and its record is kept
    in the folder `results`. Errors: `UsageError` for what cannot be carried out as asked; a run
    that fails leaves a record instead.
    """
    from auxbench.execute.local import carry_out
    from auxbench.stats import frame

    study = Study.of(methods, dataset, **words)
    store = Store(Path(results))
    store.prepare()
    carry_out(study, store, device=device, jobs=jobs, threads=threads, retry=retry, quiet=quiet)
    wanted = {run.id for run in study.runs}
    return frame([record for record in store.records() if record["id"] in wanted])


def seeds_of(given: Seeds) -> tuple[int, ...]:
    """The seeds that a number, a text or a list stands for.

    A number is how many there are, from 0 on; a text may also name single ones and stretches.
    Errors: `UsageError` for none, for one that is named twice, and for what is no seed.

    >>> seeds_of(3), seeds_of("5-7"), seeds_of("0,4,7-8"), seeds_of([2])
    ((0, 1, 2), (5, 6, 7), (0, 4, 7, 8), (2,))
    """
    if isinstance(given, str):
        parts = [_stretch(part, given) for part in split_list(given)]
        found = [seed for part in parts for seed in part]
        if given.strip().isdecimal():
            found = list(range(int(given)))
    else:
        found = list(range(given)) if isinstance(given, int) else list(given)
    twice = [seed for seed in found if found.count(seed) > 1]
    if not found or min(found) < 0 or twice:
        wrong = f"which names {twice[0]} twice" if twice else "which is no seed from 0 on"
        raise UsageError(f"seeds is {given}, {wrong}; {SEEDS}")
    return tuple(found)


def _stretch(part: str, text: str) -> range:
    """The seeds of one entry of a text, such as 4 or 5-9."""
    first, _, last = part.partition("-")
    ends = [end.strip() for end in (first, last or first)]
    if not all(end.isdecimal() for end in ends):
        raise UsageError(f"seeds is '{text}', and '{part}' is no seed; {SEEDS}")
    return range(int(ends[0]), int(ends[1]) + 1)


def _recipe(name: str, changes: Mapping[str, Any]) -> Recipe:
    unknown = [key for key in changes if key not in CHANGES]
    if unknown:
        raise UsageError(f"no word is called '{unknown[0]}'; choose one of {', '.join(CHANGES)}.")
    return budget(name).with_changes(**changes)


def _identity(dataset: str, side: int) -> dict[str, Any] | None:
    """What tells the data that would be read now from others; None where they are not there."""
    from auxbench.problem import make_dataset

    try:
        return make_dataset(dataset, side).identity()
    except (UsageError, PackageNotFoundError):
        return None


def _problems(
    texts: Iterable[str], recipe: Recipe, primary: str | None, auxiliary: Words | None
) -> list[tuple[tuple[str, str, tuple[str, ...]], str]]:
    from auxbench.problem import DATASETS, Problem, make_dataset

    names = None if auxiliary is None else _words(auxiliary, "auxiliary", empty=True)
    problems = []
    for text in texts:
        choice = Choice.parse(text)
        canonical = str(choice.canonical(DATASETS[choice.name]))
        where = "".join(f":{k}={v}" for k, v in choice.places(DATASETS[choice.name]).items())
        problem = Problem.of(make_dataset(text, recipe.side), primary, names)
        primary_text, *auxiliaries = map(problem.spelled, problem.tasks)
        problems.append(((canonical, primary_text, tuple(auxiliaries)), where))
    return problems


def _methods(texts: Iterable[str], problem: tuple[str, str, tuple[str, ...]]) -> list[str]:
    from auxbench.method import Method
    from auxbench.streams import Streams

    _, primary, auxiliaries = problem
    tasks = [Choice.parse(text).name for text in (primary, *auxiliaries)]
    parsed = [Method.parse(text, tasks) for text in texts]
    for method in parsed:
        method.make_balancers(tasks, tasks, Streams("", 0, PROTOCOL))  # refuses wrong values
    methods = [str(method) for method in parsed]
    twice = [name for name in methods if methods.count(name) > 1]
    if twice:
        raise UsageError(f"method '{twice[0]}' is named twice; name it once.")
    return methods


def _backbones(dataset: str, recipe: Recipe, backbone: Words | None, pretrained: bool) -> list[str]:
    from auxbench.backbone import resolve
    from auxbench.problem import make_dataset

    data = make_dataset(dataset, recipe.side)
    texts = [data.backbone] if backbone is None else _words(backbone, "backbone")
    return [resolve(text, data.features, pretrained) for text in texts]


def _words(given: Words, what: str, empty: bool = False) -> list[str]:
    entries = split_list(given) if isinstance(given, str) else [str(entry) for entry in given]
    if not (entries or empty):
        raise UsageError(f"{what} is empty; name at least one.")
    return entries
