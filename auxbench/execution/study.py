"""Studies: problems x backbones x methods x seeds, and which of these runs are done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, NamedTuple

from auxbench.data.dataset import Dataset, make_dataset
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError, suggestion
from auxbench.execution.weights import are_kept
from auxbench.networks import heads
from auxbench.networks.backbone import is_backbone, resolve
from auxbench.networks.pretrained import keep
from auxbench.records import provenance
from auxbench.records.record import FINAL
from auxbench.records.store import Store
from auxbench.spec import study as words
from auxbench.spec.budget import PROTOCOL, TRAINING, Recipe, budget
from auxbench.spec.files import Files, all_named, files_of
from auxbench.spec.grammar import Choice, split_list
from auxbench.spec.method import Method
from auxbench.spec.networks import HEAD
from auxbench.spec.registry import BACKBONES, DATASETS, METHODS
from auxbench.spec.run import Run
from auxbench.spec.study import CHANGES, Words, seeds_of
from auxbench.training.chain import make_balancers

Data = Words | Dataset | Sequence[str | Dataset]

NAMED_BY = {"methods": METHODS, "dataset": DATASETS, "backbone": BACKBONES}
WEIGHTLESS = "no weights were kept"  # why a run is carried out again, for its weights


class Split(NamedTuple):
    """The runs of a study: done or missing; some of the missing runs have a record all the same.

    `stale` maps the ids of those to the reason why they are run again: most often their code or
    data have changed.
    """

    done: list[Run]
    missing: list[Run]
    stale: dict[str, str]


@dataclass(frozen=True)
class Study:
    """The user's request, resolved and checked: a matrix of runs."""

    runs: tuple[Run, ...]

    @classmethod
    def of(
        cls,
        methods: Words,
        dataset: Data,
        *,
        backbone: Words | None = None,
        primary: str | None = None,
        auxiliary: Words | None = None,
        seeds: words.Seeds = 3,
        budget: str = "small",
        pretrained: bool = False,
        weights: str | Path | None = None,
        head: str = HEAD,
        **changes: Any,
    ) -> Study:
        """Resolve names, options and tasks; lists may be given as text with commas.

        The path of a Python file stands for the part that it registers: `auxnas+./mine.py`. A data
        set may also be an `ArrayDataset`; by default every data set chooses its own backbone.
        `seeds` are read by `seeds_of`, `weights` is a file with initial weights of the backbone,
        and `head` is for tasks that predict maps.

        `changes` replace single values of the budget, which is then marked with a star. Changes of
        the learning rate, weight decay, schedule and optimizer apply to the entries that do not set
        their own. Errors: `UsageError` for anything unknown or contradictory, before any run.
        """

        _recipe(budget, changes)  # refuses wrong values
        defaults = {k: v for k, v in changes.items() if k in TRAINING.values() and v is not None}
        recipe = _recipe(budget, {k: v for k, v in changes.items() if k not in defaults})
        wanted = seeds_of(seeds)
        if pretrained and weights:
            raise UsageError(f"weights '{weights}' contradict --pretrained; leave one of them out.")
        initial = Path(weights) if weights else pretrained
        named, sets = _parts(methods, "methods"), _parts(texts(dataset), "dataset")
        cells = [
            (problem, where, net, method)
            for problem, where in _problems(sets, recipe, primary, auxiliary)
            for net in _backbones(problem[0] + where, recipe, backbone, initial)
            for method in _methods(named, problem, recipe, defaults)
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
                    files=_files(method, problem[0], net),
                )
                for seed in wanted
                for problem, where, net, method in cells
            )
        )

    def shard(self, text: str | None) -> Study:
        """The runs of one of n parts, written i/n and counted from 1; all of them for None.

        Errors: `UsageError` for a text that names no part.
        """
        if text is None:
            return self
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        part, parts = map(int, found.groups()) if found else (0, 0)
        if not 1 <= part <= parts:
            raise UsageError(f"shard is '{text}'; write one such as 1/4, from 1/4 to 4/4.")
        return Study(self.runs[part - 1 :: parts])

    def split(self, store: Store, retry: bool = False, keep: bool = False) -> Split:
        """The study's finished and missing runs.

        With `retry` failed runs count as missing, with `keep` those whose weights are not there.
        """

        data = {
            key: _identity(*key) for key in {(run.located, run.recipe.side) for run in self.runs}
        }
        records = {record["id"]: record for record in store.runs()}
        final = {"done"} if retry else FINAL
        split = Split([], [], {})
        for run in self.runs:
            known = records.get(run.id)
            if known is None or known["status"] not in final:
                split.missing.append(run)
            elif why := provenance.stale(known, data[run.located, run.recipe.side]):
                split.missing.append(run)
                split.stale[run.id] = why
            elif keep and known["status"] == "done" and not are_kept(store.run_folder(run.id)):
                split.missing.append(run)
                split.stale[run.id] = WEIGHTLESS
            else:
                split.done.append(run)
        return split


def _recipe(name: str, changes: Mapping[str, Any]) -> Recipe:
    unknown = [key for key in changes if key not in CHANGES]
    if unknown:
        raise UsageError(f"no option is called '{unknown[0]}'; {suggestion(unknown[0], CHANGES)}")
    return budget(name).with_changes(**changes)


def _identity(dataset: str, side: int) -> dict[str, Any] | None:
    """The fingerprint of the data that would be read now; None if they are missing."""

    try:
        return make_dataset(dataset, side).identity()
    except (UsageError, PackageNotFoundError):
        return None


def _problems(
    texts: Iterable[str], recipe: Recipe, primary: str | None, auxiliary: Words | None
) -> list[tuple[tuple[str, str, tuple[str, ...]], str]]:

    names = None if auxiliary is None else _words(auxiliary, "auxiliary", empty=True)
    problems = []
    for text in texts:
        choice = Choice.parse(text)
        canonical = str(choice.canonical(DATASETS[choice.name]))
        where = "".join(f":{k}={v}" for k, v in choice.places(DATASETS[choice.name]).items())
        problem = Problem.of(make_dataset(text, recipe.side), primary, names)
        primary_text, *auxiliaries = map(problem.spelled, problem.tasks)
        problems.append(((canonical, primary_text, tuple(auxiliaries)), where))
    _once("data set", [problem[0] for problem, _ in problems])
    return problems


def _methods(
    texts: Sequence[str],
    problem: tuple[str, str, tuple[str, ...]],
    recipe: Recipe,
    defaults: Mapping[str, Any],
) -> list[str]:

    _, primary, auxiliaries = problem
    tasks = [Choice.parse(text).name for text in (primary, *auxiliaries)]
    _once("method", texts)  # soon, if there are thousands
    parsed = [Method.parse(text, tasks).within(recipe, defaults) for text in texts]
    for method in parsed:
        # This refuses wrong values and orders. A rule alone has no order, and is first carried out
        # in the process of its run, whose limits hold: it may fail, loop or take all memory.
        several = len(method.balancers) > 1
        make_balancers(method, tasks, tasks, Seeds("", 0, PROTOCOL), observed=several)
    methods = [str(method) for method in parsed]
    _once("method", methods)
    return methods


def _backbones(
    dataset: str, recipe: Recipe, backbone: Words | None, pretrained: bool | Path
) -> list[str]:

    data = make_dataset(dataset, recipe.side)
    texts = [data.backbone] if backbone is None else _parts(backbone, "backbone")
    backbones = [resolve(text, data.features, pretrained) for text in texts]
    _once("backbone", backbones)
    return backbones


def _once(what: str, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{what} '{twice[0]}' is named twice; name it once.")


def _parts(given: Words, what: str) -> list[str]:
    """The named parts; what is typed as a path is loaded and replaced by its name."""
    return all_named(_words(given, what), NAMED_BY[what])


def _files(method: str, dataset: str, backbone: str) -> Files:
    names = [Choice.parse(part).name for part in method.split("+")]
    return files_of(names, Choice.parse(dataset).name, Choice.parse(backbone).name)


def with_files(run: Run) -> Run:
    """A run of a record, with the files of the parts of their own that the user has named.

    Errors: `UsageError` for a part that is not here, since no record says where its file lies.
    """
    names = [Choice.parse(part).name for part in run.method.split("+")]
    dataset, backbone = (Choice.parse(text).name for text in (run.dataset, run.backbone))
    for registry, part in (*((METHODS, name) for name in names), (DATASETS, dataset)):
        if part not in registry:
            raise UsageError(
                f"{registry.kind} '{part}' of a run is not installed; name its file, such as "
                f"--parts ./{part.replace('-', '_')}.py."
            )
    if not is_backbone(backbone):
        raise UsageError(
            f"backbone '{backbone}' of a run is not installed; name its file, such as --parts "
            f"./{backbone.replace('-', '_')}.py."
        )
    return replace(run, files=files_of(names, dataset, backbone))


def _words(given: Words, what: str, empty: bool = False) -> list[str]:
    entries = split_list(given) if isinstance(given, str) else [str(entry) for entry in given]
    if not (entries or empty):
        raise UsageError(f"{what} is empty; name at least one.")
    return entries


def texts(data: Data) -> Words:
    """Data sets as text; one in memory is kept in the cache folder, for other processes.

    Errors: `UsageError` for an object that is no `ArrayDataset`.
    """
    if isinstance(data, str):
        return data
    return [_text(entry) for entry in ([data] if isinstance(data, Dataset) else data)]


def _text(entry: str | Dataset) -> str:
    if isinstance(entry, str):
        return entry
    from auxbench.data.own.array_dataset import ArrayDataset
    from auxbench.data.own.array_store import store

    if isinstance(entry, ArrayDataset):
        return store(entry)
    name = type(entry).__name__
    raise UsageError(f"dataset is a {name}; give an ArrayDataset, or the name of a data set.")
