"""Candidates: methods with sets of auxiliaries, among which advice chooses, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auxbench.data.dataset import make_dataset
from auxbench.data.problem import Problem
from auxbench.errors import UsageError
from auxbench.execution.plan import plan
from auxbench.execution.sampling import sampler
from auxbench.execution.study import Study
from auxbench.execution.tuning import FIRST_SEED, Search
from auxbench.records.advice import Candidate
from auxbench.records.ledger import Tuning
from auxbench.records.store import Store
from auxbench.spec.advice import Design
from auxbench.spec.grammar import split_list
from auxbench.spec.run import Run, identity

SAMPLER = "sobol"
START = 2.0  # seconds of a run besides its steps: its start, its test, its latency


@dataclass(frozen=True)
class Question:
    """The question: a data set, its tasks, and the words of a study that all runs share."""

    dataset: str
    primary: str | None
    auxiliary: str | None
    words: Mapping[str, Any]


def sets_of(question: Question) -> list[tuple[str, ...]]:
    """The sets of auxiliaries to choose from: none, each alone, and all together.

    Errors: `UsageError` for unknown tasks, and if there is no auxiliary.

    >>> sets_of(Question("toy", "primary", "helpful,useless", {}))
    [(), ('helpful',), ('useless',), ('helpful', 'useless')]
    """
    names = None if question.auxiliary is None else split_list(question.auxiliary)
    problem = Problem.of(make_dataset(question.dataset, 64), question.primary, names)
    alone = [problem.spelled(task) for task in problem.auxiliaries]
    if not alone:
        raise UsageError(
            f"data set '{question.dataset}' has no auxiliary task here; name some with "
            "--auxiliary, of those that auxbench show dataset lists."
        )
    return [(), *((one,) for one in alone), *([tuple(alone)] if len(alone) > 1 else [])]


def key_of(question: Question, sets: Sequence[tuple[str, ...]], design: Design) -> str:
    """The key of a study, the same for the same question asked with the same design."""
    words = dict(sorted(question.words.items()))
    asked = [question.dataset, question.primary, list(map(list, sets)), list(words)]
    values = [str(value) for value in words.values()]
    own = [*design.methods, design.control, design.trials, design.tuning_seeds]
    return identity({"advice": [*asked, values, own]})


def candidates(
    question: Question,
    sets: Iterable[tuple[str, ...]],
    control: str,
    budget: str,
    methods: Sequence[str],
    known: Iterable[Candidate] | None = None,
) -> dict[Candidate, Run]:
    """The run of every candidate, or of the `known` ones, on the first seed of tuning.

    The control has no auxiliaries, and every method has each of the other sets. Errors:
    `UsageError` as for studies, and for several data sets or backbones.
    """
    found: dict[Candidate, Run] = {}
    for auxiliaries in sets:
        names = list(methods) if auxiliaries else [control]
        study = Study.of(
            names,
            question.dataset,
            primary=question.primary,
            auxiliary=list(auxiliaries),
            seeds=[FIRST_SEED],
            **{**question.words, "budget": budget},
        )
        if len(study.runs) != len(names):
            raise UsageError("advice is about one data set and one backbone; name one of each.")
        for name, run in zip(names, study.runs, strict=True):
            if known is None or (name, auxiliaries) in known:
                found[name, auxiliaries] = run
    return found


def weights(
    runs: Mapping[Candidate, Run], store: Store, device: str, threads: int
) -> tuple[dict[Candidate, float], dict[str, str]]:
    """The estimated seconds of a run of every candidate, and why some cannot be trained.

    Errors: `UsageError` for missing data, for a control that cannot be trained, and if nothing else
    can be.
    """
    found: dict[Candidate, float | None] = {}
    impossible: dict[str, str] = {}
    cells = plan(Study(tuple(runs.values())), store, device, threads)
    for one, cell in zip(runs, cells, strict=True):
        if cell.lacking:
            raise UsageError(cell.lacking)
        if cell.impossible and not one[1]:
            raise UsageError(cell.impossible)
        if cell.impossible:
            impossible[f"{one[0]} with {', '.join(one[1])}"] = cell.impossible.rstrip(".")
        else:
            found[one] = cell.seconds
    if impossible and not any(auxiliaries for _, auxiliaries in found):
        reasons = "; ".join(f"{one}: {why}" for one, why in impossible.items())
        raise UsageError(f"no method can be tried ({reasons}); name others with --methods.")
    known = [seconds for seconds in found.values() if seconds is not None]
    most = max(known, default=0.0)
    seconds = {one: START + (most if each is None else each) for one, each in found.items()}
    return seconds, impossible


def smallest(
    weights: Mapping[Candidate, float],
    methods: Sequence[str],
    design: Design,
    least: tuple[int, int, int],
) -> float:
    """The seconds of a study of some methods, one run at a time.

    `least` has its numbers of trials, of fresh seeds and of candidates for these.
    """
    trials, seeds, finalists = least
    used = {one: weight for one, weight in weights.items() if not one[1] or one[0] in methods}
    longest = sorted((weight for one, weight in used.items() if one[1]), reverse=True)[:finalists]
    control = sum(weight for one, weight in used.items() if not one[1])
    screening = min(trials, design.trials) * design.tuning_seeds * sum(used.values())
    return max(screening + seeds * (control + sum(longest)), screening / design.screening)


def searches_of(
    cells: Mapping[Candidate, Run], design: Design, trials: int
) -> dict[Candidate, Search]:
    """A search for every candidate, each of at most `trials` trials."""
    seeds = range(FIRST_SEED, FIRST_SEED + design.tuning_seeds)
    found = {one: Search(cell, seeds) for one, cell in cells.items()}
    for search in found.values():
        search.extend(sampler(SAMPLER), trials - 1)
    return found


def by_validation(tunings: Mapping[Candidate, Tuning]) -> list[Candidate]:
    """The candidates with auxiliaries, by validation: the best with every set, then the others."""

    def merit(one: Candidate) -> float:
        tuning = tunings[one]
        score = next(t.score for t in tuning.trials if t.entry == tuning.selected)
        return math.inf if score is None else (1 if tuning.direction == "down" else -1) * score

    order = sorted((one for one in tunings if one[1]), key=merit)
    best = {one[1]: one for one in reversed(order)}  # of every set the last, which is the best
    first = sorted(best.values(), key=merit)
    return [*first, *(one for one in order if one not in first)]
