"""Advising: a study within given hours that finds the auxiliaries and the method to use.

Every method is tried with every auxiliary alone and with all together, and the control with none,
all with equal trials on validation (see `tuning`). The best candidates are then trained on fresh
seeds, look by look; what the scores of these say is decided elsewhere and handed back.

The time is kept in three ways: the budget and the methods are chosen so that their estimated time
fits; every round is begun only if it fits by the time that the rounds before it took; and a round
that takes longer all the same is stopped, with its runs saved.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from auxbench.data.progress import counted, duration
from auxbench.errors import AuxbenchError, UsageError
from auxbench.execution.candidates import (
    SAMPLER,
    Question,
    by_validation,
    candidates,
    key_of,
    searches_of,
    sets_of,
    smallest,
    weights,
)
from auxbench.execution.deadline import deadline
from auxbench.execution.executor import carry_out
from auxbench.execution.resources import Resources, resolve, slots, threads_of
from auxbench.execution.study import Study
from auxbench.execution.tuning import Search, carry_out_trials
from auxbench.records.advice import Advice, Candidate, State
from auxbench.records.ledger import Ledger, Trial, Tuning
from auxbench.records.store import Store
from auxbench.spec.advice import Design
from auxbench.spec.budget import BUDGETS
from auxbench.spec.run import Run

SLACK = 1.3  # estimates know nothing of validation, nor of what else the machine does
CUT = 1.5  # times its share of the time after which screening is stopped
FEWEST = (2, 5, 3)  # trials, seeds and candidates for these, below which a study is not begun
ENOUGH = (4, 10, 5)  # the same, for which a larger budget is chosen if it allows as many
SEEDS = (20, 10, 5)  # numbers of seeds for which time is sought, before candidates are left out
FAMILY = 4  # candidates below which decisions are made at a stricter level, as collapses are unseen


class Advising:
    """The study of one question in a results folder, from where an earlier call has left it.

    `hours` are for all calls together. Errors: `UsageError` for a question that makes no study, and
    for hours that are too few for the smallest one.
    """

    def __init__(
        self,
        question: Question,
        design: Design,
        hours: float,
        results: str | Path,
        resources: Resources,
    ) -> None:
        if not (math.isfinite(hours) and hours > 0):
            raise UsageError(f"hours is {hours:g}; give a number above 0, such as 0.5 or 2.")
        self.begun = time.monotonic()
        self.question, self.design, self.resources = question, design, resources
        self.limit = 3600 * hours
        self.store, self.ledger, self.advice = Store(results), Ledger(results), Advice(results)
        self.sets = sets_of(question)
        self.key = key_of(question, self.sets, design)
        self.left_out: dict[str, str] = {}  # methods that are not tried, and why
        self.weights: dict[Candidate, float] = {}  # seconds of a run
        self.device = resolve(resources.device)
        self.jobs = slots(self.device, resources.jobs)
        self.factor = SLACK / self.jobs  # seconds that pass per estimated second of a run
        self.store.prepare()
        earlier = self.advice.load(self.key)
        self.state = earlier or State("", ())
        self.before = self.state.spent
        if earlier:
            self._weigh(self._candidates(earlier.budget, earlier.methods))
        else:
            self._plan()
        self.cells = self._candidates(self.state.budget, self.state.methods, self.weights)
        self.control = next(one for one in self.cells if not one[1])
        self.tunings: dict[Candidate, Tuning] = {}

    @property
    def spent(self) -> float:
        """The seconds of all calls so far."""
        return self.before + time.monotonic() - self.begun

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.limit - self.spent

    def screen(self) -> None:
        """Give every candidate the same number of trials, and choose those for fresh seeds.

        Errors: `AuxbenchError` if time ends before every candidate has had its first trial, or
        leaves too little for fresh seeds.
        """
        done = self.state.trials or self._rounds()
        searches = searches_of(self.cells, self.design, done)
        carry_out_trials([], list(searches.values()), self.ledger, self.resources, quiet=True)
        self.tunings = {one: search.tuning(SAMPLER) for one, search in searches.items()}
        if self.state.trials:
            return
        chosen = self._chosen(done)
        for tuning in self.tunings.values():
            self.ledger.append(tuning)
        seeds = tuple((one, 0) for one in (self.control, *chosen))
        self._save(trials=done, seeds=seeds, active=chosen)

    def extend(self, count: int) -> bool:
        """Train the active candidates and the control on `count` seeds; False if time is up."""
        wanted = (self.control, *self.state.active)
        runs = [(one, self.final(one, seed)) for seed in range(count) for one in wanted]
        if self._needed(runs, self.store) > self.left:
            return False
        with deadline(self.left) as stop:
            self._timed(runs, self.store)
        seeds = self.state.seeds
        if not stop.struck:
            seeds = tuple((one, count if one in wanted else old) for one, old in seeds)
        self._save(seeds=seeds)
        return not stop.struck

    def keep(self, active: Iterable[Candidate]) -> None:
        """Go on with these candidates alone."""
        self._save(active=tuple(active))

    def measured(self) -> tuple[dict[Candidate, list[Trial]], bool]:
        """The trials so far of every candidate, and whether smaller scores are better."""
        searches = searches_of(self.cells, self.design, self.design.trials)
        carry_out_trials([], list(searches.values()), self.ledger, self.resources, quiet=True)
        found = {one: map(search.trial, search.entries) for one, search in searches.items()}
        begun = {one: [each for each in trials if each.seeds] for one, trials in found.items()}
        return begun, any(search.sign > 0 for search in searches.values())

    def final(self, candidate: Candidate, seed: int) -> Run:
        """The run of a candidate's selected entry on a fresh seed."""
        entry = self.tunings[candidate].selected
        return replace(self.cells[candidate], method=entry, seed=seed)

    def compared(self) -> dict[str, Candidate]:
        """The candidates by the ids of their runs, up to each one's latest look."""
        return {
            self.final(one, seed).id: one
            for one, count in self.state.seeds
            for seed in range(count)
        }

    def _plan(self) -> None:
        """Choose the largest budget that allows enough, and the methods that fit."""
        words, methods = self.question.words, self.design.methods
        free = words.get("budget") is None and words.get("steps") is None
        tiers = list(BUDGETS) if free else [words.get("budget") or "small"]
        chosen = ""
        begun, worked = time.perf_counter(), time.thread_time()

        def least(some: Sequence[str], counts: tuple[int, int, int]) -> float:
            return self.factor * smallest(self.weights, some, self.design, counts)

        for tier in tiers:
            before = self.weights
            self._weigh(self._candidates(tier, methods))
            if chosen and least(methods, ENOUGH) > self.left:
                self.weights = before
                break
            chosen = tier
        while len(methods) > 1 and least(methods, FEWEST) > self.left:
            self.left_out[methods[-1]] = "no time for it"
            methods = methods[:-1]
        shortest = least(methods, FEWEST)
        share = (time.thread_time() - worked) / (time.perf_counter() - begun)  # of a core, for us
        if share * shortest > self.left:
            raise UsageError(
                f"hours is {self.limit / 3600:g}, and the smallest study of this takes about "
                f"{duration(shortest)}; give --hours {self._hours(shortest):g} or fewer tasks."
            )
        if shortest > self.left:
            long = f"the smallest study takes about {duration(shortest)} if it stays so"
            self.say(f"the machine is busy: {long}, and the time may end without a decision")
        self.weights = {
            one: weight for one, weight in self.weights.items() if not one[1] or one[0] in methods
        }
        self._save(budget=chosen, methods=tuple(methods))
        self.say(
            f"{counted(len(self.weights), 'candidate')}: {self.design.control} alone, and "
            f"{', '.join(methods)} with {counted(len(self.sets) - 1, 'set')} of auxiliaries; "
            f"budget {chosen}; at most {duration(self.limit)}"
        )
        for name, why in self.left_out.items():
            self.say(f"left out: {name} ({why})")

    def _candidates(
        self, budget: str, methods: Sequence[str], known: Iterable[Candidate] | None = None
    ) -> dict[Candidate, Run]:
        return candidates(self.question, self.sets, self.design.control, budget, methods, known)

    def _weigh(self, runs: Mapping[Candidate, Run]) -> None:
        """Estimate the seconds of a run of every candidate; leave out what cannot be trained."""
        threads = threads_of(self.resources.threads, self.jobs)
        self.weights, impossible = weights(runs, self.store, self.device, threads)
        self.left_out |= impossible

    def _rounds(self) -> int:
        """Carry out rounds of trials while time allows; return the trials that all have had."""
        done, end = 0, self.design.screening * self.limit
        while done < self.design.trials:
            each = self.factor * self.design.tuning_seeds * sum(self.weights.values())
            fit = max(0, int((end - self.spent) / each))
            more = min(self.design.trials - done, math.ceil(fit / 2)) if done else 1
            if not more:
                break
            searches = searches_of(self.cells, self.design, done + more)
            runs = [
                (one, run)
                for one, search in searches.items()
                for seed in search.seeds
                for run in search.runs(seed, halving=False)
            ]
            if (cut := CUT * end - self.spent) <= 0:
                break
            with deadline(cut) as stop:
                self._timed(runs, self.ledger.trials, list(searches.values()))
            if stop.struck:
                break
            done += more
            self._save()
        if not done:
            self._save()
            raise AuxbenchError(
                f"the first trials did not end within {duration(self.spent)}; the same command "
                f"with --hours {self._hours(self.spent / self.design.screening):g} continues them."
            )
        return done

    def _chosen(self, trials: int) -> tuple[Candidate, ...]:
        """The candidates to compare, by validation: the best with every set, then the others."""
        order = by_validation(self.tunings)[: self.design.finalists]
        for seeds in SEEDS:
            least = 1 if seeds == SEEDS[-1] else min(FAMILY, len(order))
            for number in range(len(order), least - 1, -1):
                each = sum(self.weights[one] for one in (self.control, *order[:number]))
                if self.factor * seeds * each <= self.left:
                    self.say(
                        f"{counted(trials, 'trial')} each; {counted(number, 'candidate')} of "
                        f"{len(self.cells) - 1} go on to fresh seeds, for {duration(self.left)}"
                    )
                    return tuple(order[:number])
        self._save()
        raise AuxbenchError(
            f"{counted(trials, 'trial')} of each candidate took {duration(self.spent)}, and "
            f"{SEEDS[-1]} fresh seeds do not fit into what is left; the same command with "
            f"--hours {self._hours(self.factor * SEEDS[-1] * each):g} continues from here."
        )

    def _hours(self, more: float) -> float:
        """The hours that allow this many `more` seconds, with some to spare."""
        return math.ceil(100 * SLACK * (self.spent + more) / 3600) / 100

    def _needed(self, runs: Sequence[tuple[Candidate, Run]], store: Store) -> float:
        """The seconds that the missing ones of these runs will take."""
        missing = {run.id for run in Study(tuple(run for _, run in runs)).split(store).missing}
        return self.factor * sum(self.weights[one] for one, run in runs if run.id in missing)

    def _timed(
        self,
        runs: Sequence[tuple[Candidate, Run]],
        store: Store,
        searches: Sequence[Search] | None = None,
    ) -> None:
        """Carry out runs, and learn from the time that they take."""
        expected = self._needed(runs, store) / self.factor
        start = time.monotonic()
        if searches is None:
            carry_out(Study(tuple(dict.fromkeys(run for _, run in runs))), store, self.resources)
        else:
            carry_out_trials([run for _, run in runs], searches, self.ledger, self.resources)
        if expected:
            self.factor = (time.monotonic() - start) / expected

    def _save(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes, spent=self.spent)
        self.advice.save(self.key, self.state)

    def say(self, text: str) -> None:
        """Report progress to the user on stderr."""
        click.echo(f"auxbench: {text}", err=True)
