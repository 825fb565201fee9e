"""Across problems: mean ranks with intervals, profiles, and the critical difference."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from auxbench.errors import UsageError
from auxbench.report.across import notes, profiles, rank_intervals
from auxbench.report.comparison import compare
from auxbench.report.diagram import WIDTH, diagram
from auxbench.report.matrix import matrix
from auxbench.stats.across import (
    MANY,
    cliques,
    critical_difference,
    friedman,
    mean_rank_interval,
    profile,
)
from auxbench.stats.tiers import DRAWS
from auxbench.stats.tiers import rank_intervals as rank_intervals_of_seeds
from tests.unit._records import study

PRIMARIES = ("depth", "normals", "segmentation", "edges", "keypoints", "scene")


def problems(count: int, seeds: int = 5, noise: float = 0.1) -> list[dict[str, object]]:
    """Records of three methods on several problems; `hps` is the best on all but the last one."""
    rng = np.random.default_rng(0)
    found = []
    for place, primary in enumerate(PRIMARIES[:count]):
        gain = -1.0 if place == count - 1 else 1.0
        means = {"single": 10.0, "hps": 10.0 + gain, "pcgrad": 10.0 + gain / 2}
        scores = {
            name: (mean + noise * rng.standard_normal(seeds)).tolist()
            for name, mean in means.items()
        }
        found += study(scores, primary=primary)
    return found


@pytest.mark.parametrize("count", [3, 4, 8, 12])
@pytest.mark.parametrize("methods", [3, 5, 10])
def test_nemenyis_difference_decides_as_scikit_posthocs_does(count: int, methods: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        posthocs = pytest.importorskip("scikit_posthocs")
    scores = np.random.default_rng(count).standard_normal((count, methods))
    scores += 2 * np.arange(methods)
    ranks = scores.argsort(1).argsort(1).mean(0)
    p = posthocs.posthoc_nemenyi_friedman(scores).to_numpy()
    ours = np.abs(ranks[:, None] - ranks) > critical_difference(methods, count)
    assert (ours == (p < 0.05)).all()
    assert 0 < friedman(scores) <= 1


def test_friedman_says_nothing_of_too_little() -> None:
    assert friedman(np.zeros((4, 3))) == 1.0
    assert friedman(np.ones((1, 5))) == 1.0
    assert friedman(np.array([[1.0, 2.0]] * 9)) == 1.0


def test_many_problems_widen_the_interval_of_a_mean_rank() -> None:
    """Of a method that is first on most problems and last on one, whatever the seeds."""
    few = [np.full(DRAWS, 1.0)] * (MANY - 2) + [np.full(DRAWS, 5.0)]
    many = [np.full(DRAWS, 1.0)] * (MANY - 1) + [np.full(DRAWS, 5.0)]
    low, high = mean_rank_interval(few)
    assert low == high == pytest.approx(np.mean([1.0] * (MANY - 2) + [5.0]))
    low, high = mean_rank_interval(many)
    assert low < 1.0 < 2.5 < high


def test_the_interval_of_a_mean_rank_covers_what_it_is_about() -> None:
    """Of six problems with ranks of their own, and none of three noisy methods ahead."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        ranks = [np.full(9, rank) for rank in rng.choice([1.0, 2.0, 3.0], MANY)]
        low, high = mean_rank_interval(ranks)
        covered += low <= 2.0 <= high
    assert covered >= 0.92 * 400


def test_a_method_with_one_run_may_have_any_rank() -> None:
    scores = np.random.default_rng(1).standard_normal((5, 20))
    scores[2, 1:] = np.nan
    low, high = rank_intervals_of_seeds(scores)
    assert (low[2], high[2]) == (1.0, 5.0)


def test_the_matrix_counts_verdicts_and_bounds_mean_ranks() -> None:
    table = matrix(compare(problems(3), [], "single"))
    rows = {row["method"]: row for row in table.rows}
    assert [rows["hps"][key] for key in ("better", "equivalent", "worse")] == [2, 0, 1]
    assert rows["hps"]["decided"] == "2/0/1"
    assert rows["hps"]["rank_low"] == rows["hps"]["rank_high"] == pytest.approx(5 / 3)
    assert rows["hps"]["rank"] == pytest.approx(5 / 3)


def test_a_method_that_is_not_recorded_everywhere_has_no_interval() -> None:
    records = problems(2) + study({"uw": [9.0, 9.1, 9.2, 9.3, 9.4]}, primary="depth")
    comparison = compare(records, [], "single")
    assert "uw" not in rank_intervals(comparison.problems)
    row = next(row for row in matrix(comparison).rows if row["method"] == "uw")
    assert row["rank_low"] is None


def test_one_seed_leaves_every_rank_possible() -> None:
    comparison = compare(problems(2, seeds=1), [], "single")
    for low, high in rank_intervals(comparison.problems).values():
        assert (low, high) == (1.0, 3.0)


def test_a_critical_difference_is_told_only_where_it_could_show_anything() -> None:
    two, six = (compare(problems(count), [], "single").problems for count in (2, 6))
    assert "a critical-difference diagram would show nothing" in " ".join(notes(two))
    text = " ".join(notes(six))
    assert "Friedman's test on the means of the 6 problems: p = 0." in text
    assert "t-intervals over problems, about problems like these" in text
    assert "cannot stand for others" in " ".join(notes(two))


def test_a_diagram_draws_mean_ranks_and_what_they_cannot_tell_apart() -> None:
    """Of three methods on six problems: hps is first on five of them, and last on one."""
    table = diagram(compare(problems(6), [], "single").problems)
    rows = {row["method"]: row for row in table.rows}
    assert list(rows) == ["critical difference", "hps", "pcgrad", "single"]
    apart = critical_difference(3, 6)
    assert rows["critical difference"]["rank"] == apart
    assert len(rows["critical difference"]["line"]) == round(apart * (WIDTH - 1) / 2) + 1
    assert [rows[name]["rank"] for name in ("hps", "pcgrad")] == pytest.approx([8 / 6, 2.0])
    assert rows["pcgrad"]["line"].index("●") == (WIDTH - 1) // 2
    assert [rows[name]["groups"] for name in ("hps", "pcgrad", "single")] == ["a", "a", "a"]
    assert "Friedman's test that all rank equally: p = 0.069" in table.notes[0]
    assert "no difference here should be believed" in table.notes[0]


def test_groups_in_a_diagram_overlap() -> None:
    assert cliques([1.0, 2.0, 3.0, 5.0, 5.5], 1.0) == [range(2), range(1, 3), range(3, 5)]
    assert cliques([1.0, 3.0, 5.0], 1.0) == []
    assert cliques([2.0, 2.0, 2.0], 1.0) == [range(3)]


def test_a_diagram_that_could_show_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="a diagram would show nothing; record more problems"):
        diagram(compare(problems(2), [], "single").problems)


def test_a_profile_weighs_every_problem_the_same() -> None:
    gains = [np.full(100, 0.3), np.array([-0.1])]
    assert profile(gains, [0.0, 0.2, 0.4]).tolist() == [0.5, 0.5, 0.0]
    assert np.isnan(profile([], [0.0])).all()


def test_profiles_are_of_paired_runs_in_shares_of_the_control() -> None:
    table = profiles(compare(problems(2, noise=1e-6), [], "single"))
    hps = next(row for row in table.rows if row["method"] == "hps")
    found = {key: hps[key] for key in ("-20%", "-5%", "+0%", "+5%", "+20%")}
    assert found == {"-20%": 100, "-5%": 50, "+0%": 50, "+5%": 50, "+20%": 0}
