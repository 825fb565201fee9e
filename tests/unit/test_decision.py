"""Decisions: the tests behind a verdict, the rules for collapses, and their measured rates."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from auxbench.stats import Claim, collapsed, decide, paired
from auxbench.stats.calibrate import LIMITS, SHAPES, calibrate, measured, resampled
from auxbench.stats.collapse import shared_depth
from auxbench.stats.decision import STRICT, evidence, level
from auxbench.stats.signflip import PATTERNS, flip_interval, signflip, signflips
from auxbench.stats.tiers import drawn_ranks, rank_intervals, tiers

MANY = 5
DIFFERENCES = np.array([0.9, -0.2, 1.4, 0.6, 1.1, 0.3, 0.8])


def claim(differences: list[float], **known: object) -> Claim:
    theirs = dict.fromkeys(range(len(differences)), 50.0)
    ours = {seed: 50.0 + value for seed, value in enumerate(differences)}
    return Claim(paired(ours, theirs, "up"), **{"others": MANY, **known})  # type: ignore[arg-type]


def test_the_sign_flip_test_is_scipys_permutation_test() -> None:
    found = stats.permutation_test(
        (DIFFERENCES, np.zeros(7)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert signflip(DIFFERENCES) == pytest.approx(found.pvalue)


def test_the_sign_flip_interval_is_what_the_test_does_not_reject() -> None:
    low, high = flip_interval(DIFFERENCES)
    width = high - low
    assert signflip(DIFFERENCES - (low + 0.001 * width)) > 0.05
    assert signflip(DIFFERENCES - (high - 0.001 * width)) > 0.05
    assert signflip(DIFFERENCES - (low - 0.001 * width)) <= 0.05
    assert signflip(DIFFERENCES - (high + 0.001 * width)) <= 0.05
    assert all(map(math.isnan, flip_interval(DIFFERENCES[:5])))  # 2/32 is above 5 %


def test_many_pairs_are_sampled_and_agree_with_the_normal_theory() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    assert signflip(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)
    low, high = flip_interval(values)
    theory = stats.ttest_1samp(values, 0).confidence_interval()
    assert (low, high) == pytest.approx((theory.low, theory.high), abs=0.05)


def test_equivalence_is_the_two_one_sided_tests_of_statsmodels() -> None:
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    expected = weightstats.ttost_paired(DIFFERENCES, np.zeros(7), -1.5, 1.5)[0]
    found = evidence(DIFFERENCES[None], others=MANY, margin=1.5)
    assert found.p_equivalent[0] == pytest.approx(expected)
    assert found.p[0] == pytest.approx(stats.ttest_1samp(DIFFERENCES, 0).pvalue)
    assert evidence(DIFFERENCES[None], others=MANY).p_equivalent[0] == 1.0


def test_small_differences_are_equivalent_and_large_ones_better_or_worse() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1, 10)
    family = [claim((shift + noise).tolist(), margin=0.5) for shift in (0.0, 0.2, 2.0, -2.0)]
    words = [decision.verdict for decision in decide(family)]
    assert words == ["equivalent", "equivalent", "better", "worse"]
    (bare,) = decide([claim(noise.tolist())])
    assert bare.verdict == "undecided"


def test_collapsed_runs_are_found_whatever_the_unit() -> None:
    scores = np.random.default_rng(2).normal(50, 0.5, (4, 10))
    scores[1, 3] = 20.0
    for factor in (1e-6, 1.0, 1e6):
        marks, depth, spread = collapsed(factor * scores)
        assert np.argwhere(marks).tolist() == [[1, 3]]
        assert depth / spread > 40
    assert not collapsed(np.full((3, 4), 7.0))[0].any()
    assert not collapsed(np.full((3, 4), np.nan))[0].any()
    lent = shared_depth(np.array([8.0, 0.0]), np.array([1.0, 2.0]), np.array([1, MANY]))
    assert lent.tolist() == [8.0, 0.0]  # where many were run, nothing is lent


def test_a_rare_collapse_is_taken_as_its_methods_own() -> None:
    scores = np.random.default_rng(3).normal(50, 0.5, (12, 10))
    scores[0, 0] = 20.0
    marks, depth, _ = collapsed(scores)
    assert (marks.sum(), depth) == (1, 0.0)
    scores[1, 5] = 25.0
    assert 25 < collapsed(scores)[1] < 29  # the median of two falls


def test_a_verdict_has_to_survive_one_more_collapse() -> None:
    good = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.03]
    (calm,), (warned,) = decide([claim(good)]), decide([claim(good, depth=20.0)])
    assert (calm.verdict, calm.why) == ("better", "")
    assert warned.verdict == "undecided"
    assert warned.why == "runs collapse on this problem, and one more could undo the difference"
    (large,) = decide([claim([value + 30 for value in good], depth=20.0)])
    assert large.verdict == "better"


def test_where_a_run_collapsed_the_sign_flip_test_has_to_agree() -> None:
    few = [3.0, 3.1, 2.9, 3.05, 2.95]  # five signs cannot reach 5 %
    (calm,), (touched,) = decide([claim(few)]), decide([claim(few, collapsed=True)])
    assert calm.verdict == "better"
    assert (touched.verdict, touched.p) == ("undecided", 2 / 32)
    assert "the sign-flip test does not find the difference" in touched.why


def test_the_level_is_stricter_where_few_methods_were_run() -> None:
    assert [level(others) for others in (1, 2, 3, 4, 40)] == [*STRICT.values(), 0.05, 0.05]
    raised = decide([claim(DIFFERENCES.tolist(), others=1)])[0].p
    assert raised == pytest.approx(decide([claim(DIFFERENCES.tolist())])[0].p * 0.05 / STRICT[1])


def test_exact_duplicates_count_once() -> None:
    one, other = claim(DIFFERENCES.tolist()), claim((DIFFERENCES + 0.1).tolist())
    alone, twice = decide([one, other]), decide([one, one, other])
    assert [d.p for d in twice] == [alone[0].p, alone[0].p, alone[1].p]


def test_rates_are_the_shipped_ones_and_stay_in_their_band() -> None:
    """Two settings of every shape are measured again; all that are shipped are in the band."""
    known = {(r.shape, r.seeds, r.methods, r.problems): r for r in measured()}
    assert {key[0] for key in known} == {*SHAPES, *LIMITS}
    assert not [rate for rate in known.values() if rate.excessive and rate.shape in SHAPES]
    for rate in itertools.chain(calibrate(4000, [5], [4], [1]), calibrate(4000, [10], [1], [3])):
        assert rate == known[rate.shape, rate.seeds, rate.methods, rate.problems]


def test_a_decision_that_ignores_collapses_would_leave_the_band(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = lambda scores: (np.zeros(scores.shape, bool), *np.zeros((2, *scores.shape[:-2])))  # noqa: E731
    monkeypatch.setattr("auxbench.stats.calibrate.collapsed", nothing)
    rates = {rate.shape: rate for rate in calibrate(1000, [20], [20], [1])}
    assert not rates["normal"].excessive
    assert rates["collapses in 10 %"].rate > 0.3


def test_real_runs_are_resampled_without_sharing_a_seed() -> None:
    scores = np.random.default_rng(4).normal(40, 1, 60).tolist()
    assert not resampled(scores, 10).excessive
    assert resampled([40.0] * 60, 5).rate == 0.0


@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_ranks_of_identical_methods_are_rarely_certain(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    certain = 0
    for _ in range(400):
        shared = rng.normal(0, 2, seeds)
        low, high = rank_intervals(shared + rng.normal(size=(2, seeds)))
        certain += bool((low == high).all())
    assert certain / 400 < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 400)


def test_ranks_of_methods_far_apart_are_certain_and_one_seed_says_nothing() -> None:
    scores = np.arange(3)[:, None] + np.random.default_rng(0).normal(0, 0.05, (3, 5))
    low, high = rank_intervals(scores)
    assert low.tolist() == high.tolist() == [3, 2, 1]
    low, high = rank_intervals(scores[:, :1])
    assert (low.tolist(), high.tolist()) == ([1, 1, 1], [3, 3, 3])


def test_a_tier_begins_with_its_best_method() -> None:
    apart = {("a", "b"): False, ("a", "c"): True, ("a", "d"): True}
    apart |= {("b", "c"): True, ("b", "d"): False, ("c", "d"): False}
    assert tiers(["a", "b", "c", "d"], apart) == {"a": 1, "b": 1, "c": 2, "d": 2}


@pytest.mark.parametrize("n", [2, 5, 6, 19, 20, 21, 40])
def test_many_sign_flip_tests_are_those_of_each(n: int) -> None:
    rng = np.random.default_rng(n)
    differences = rng.standard_normal((30, n)) + rng.uniform(0, 3, (30, 1))
    differences[0], differences[1] = 0.0, np.abs(differences[1])
    differences[2] = np.round(differences[2])
    assert signflips(differences).tolist() == [signflip(row) for row in differences]
    if n <= 6:  # all patterns one by one
        signs = np.array([[1 - 2 * (i >> j & 1) for j in range(n)] for i in range(2**n)])
        sums, total = np.abs(differences @ signs.T), np.abs(differences.sum(1))
        assert signflips(differences) == pytest.approx((sums >= total[:, None] - 1e-9).mean(1))


def test_no_patterns_are_drawn_where_none_can_reach_the_sum() -> None:
    far = np.random.default_rng(0).standard_normal((1, 400)) + 0.6  # 12 times the root
    near = far - 0.2
    assert signflips(far).tolist() == [1 / PATTERNS]
    random = np.random.default_rng(0).random((PATTERNS, 400)) < 0.5
    random[0] = True
    for values in (far, near):
        flipped = 2 * (random @ values[0]) - values[0].sum()
        assert signflips(values)[0] == np.mean(np.abs(flipped) >= abs(values[0].sum()) - 1e-9)


def test_drawn_ranks_are_scipys_with_ties_and_single_seeds() -> None:
    scores = np.random.default_rng(0).standard_normal((5, 6))
    scores[1] = scores[0]
    scores[2, 1:] = scores[3, 1:] = np.nan
    found = drawn_ranks(scores)
    assert (found.sum(0) == 15).all()
    assert (found[0] == found[1]).all()
    assert set(np.unique(found[2])) <= {1.0, 1.5, 4.5, 5.0}
    assert (found[2] == found[3]).any()
    rng = np.random.default_rng(0)
    whole = np.random.default_rng(1).standard_normal((4, 6))
    means = whole.mean(1, keepdims=True)
    drawn = (whole - means) / np.sqrt(30) @ rng.standard_normal((6, 2000))
    drawn = means + drawn * np.sqrt(5 / rng.chisquare(5, 2000))
    assert (drawn_ranks(whole) == stats.rankdata(-drawn, axis=0)).all()
