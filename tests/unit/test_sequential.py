"""Sequential designs: the rate of false claims over all looks, and runs until decided."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from auxbench.cli.main import auxbench
from auxbench.records.looks import Looks
from auxbench.records.store import Store
from auxbench.report.comparison import compare
from auxbench.stats import frame
from auxbench.stats.decision import ALPHA, evidence, verdicts
from auxbench.stats.multiplicity import holm
from auxbench.stats.sequential import LOOKS, level_at
from tests.unit._records import study

MANY = 5


def decided(effect: float, draws: int, methods: int = 1) -> tuple[float, float]:
    """The share of families with a claim, and the mean number of seeds until then."""
    rng = np.random.default_rng(methods)
    paths = rng.normal(effect, 1, (draws, methods, max(LOOKS)))
    found, seeds = np.zeros(draws, bool), np.full(draws, float(max(LOOKS)))
    for count, alpha in LOOKS.items():
        part = paths[..., :count].reshape(-1, count)
        one = evidence(part, others=MANY)
        p = holm(one.p.reshape(draws, methods))
        words = verdicts(one.mean.reshape(draws, methods), p, np.ones_like(p), alpha)
        new = (words != "undecided").any(1) & ~found
        seeds[new], found = count, found | new
    return float(found.mean()), float(seeds.mean())


@pytest.mark.parametrize("methods", [1, 10])
def test_all_looks_together_keep_the_level(methods: int) -> None:
    draws = 10_000
    rate, _ = decided(0.0, draws, methods)
    assert 0.02 < rate < ALPHA + 4 * math.sqrt(ALPHA * (1 - ALPHA) / draws)


def test_power_and_seeds_are_as_documented() -> None:
    for effect, power, seeds in ((0.5, 0.51, 18), (1.0, 0.98, 12), (2.0, 1.0, 8)):
        found, count = decided(effect, 10_000)
        assert found == pytest.approx(power, abs=0.02)
        assert count == pytest.approx(seeds, abs=0.6)


def test_an_e_process_has_less_power_as_documented() -> None:
    x = np.random.default_rng(0).normal(1.0, 1, (10_000, 20))
    n = np.arange(1, 21)
    sums, squares = x.cumsum(1), (x * x).cumsum(1)
    martingale = np.sqrt(1 / (n + 1)) * (1 - sums**2 / ((n + 1) * squares)) ** (-n / 2)
    assert (martingale[:, 4:] >= 20).any(1).mean() == pytest.approx(0.88, abs=0.02)


def test_seeds_that_are_added_after_a_look_lower_the_level() -> None:
    scores = {"single": [40.0, 41.0, 42.0, 40.5, 41.5], "hps": [40.9, 41.5, 42.2, 41.4, 41.6]}
    low = {"uw": 39.0, "dwa": 39.1, "rlw": 39.2}
    more = {name: [first, 39.5, 40.0, 39.4, 40.2] for name, first in low.items()}
    records = study(scores | more)
    (plain,) = compare(records, ["hps"], "single").differences
    key = (plain.where["problem"], "hps", "single")
    looked = compare(records, ["hps"], "single", looks={key: 5})
    (strict,) = looked.differences
    assert (plain.verdict, strict.verdict) == ("better", "undecided")
    assert strict.decision.p == plain.decision.p
    assert LOOKS[5] < strict.decision.p <= ALPHA
    assert "Seeds were added after looks at 1 of the comparisons" in " ".join(looked.notes())
    assert [level_at(seeds) for seeds in (3, 5, 14, 99)] == [0.005, 0.005, 0.012, 0.03]


@pytest.mark.slow
def test_run_until_decided_drops_who_is_decided(tmp_path: Path) -> None:
    words = (
        "run --until decided --methods single,hps,hps:lr=0.03 --dataset toy --steps 12 --batch 8"
    )
    words += f" --auxiliary helpful --max-seeds 10 --jobs 1 --results {tmp_path}"
    done = CliRunner().invoke(auxbench, words.split())
    assert done.exit_code == 0, done.output
    rows = frame(Store(tmp_path).records())
    counts = rows.groupby("method")["seed"].nunique().to_dict()
    latest = {method: seeds for (_, method, _), seeds in Looks(tmp_path).latest().items()}
    assert latest == {name: count for name, count in counts.items() if name != "single"}
    assert counts["single"] == max(counts.values())
    assert set(counts.values()) <= {5, 10}
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"after {counts['single']} seeds, undecided: ")
    if counts["single"] == 5:
        assert last.endswith("nothing")


def test_fewer_seeds_than_the_first_look_are_refused(tmp_path: Path) -> None:
    words = f"run --until decided --methods hps --dataset toy --max-seeds 4 --results {tmp_path}"
    done = CliRunner().invoke(auxbench, words.split())
    assert "max-seeds is 4; ask for at least 5." in str(done.exception)
