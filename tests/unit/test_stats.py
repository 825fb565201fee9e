"""Intervals, tests and corrections against scipy and statsmodels, and their error rates."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from auxbench.stats import frame, holm, interval, paired
from auxbench.stats.paired import detectable
from tests.unit._records import record, study

A = {0: 41.2, 1: 43.9, 2: 40.1, 3: 44.4, 4: 42.0}
B = {0: 40.0, 1: 43.1, 2: 40.3, 3: 42.2, 4: 41.1}


def test_interval_is_scipys() -> None:
    values = list(A.values())
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval(values) == pytest.approx((np.mean(values), expected.low, expected.high))


def test_paired_test_and_interval_are_scipys() -> None:
    expected = stats.ttest_rel(list(A.values()), list(B.values()))
    bounds = expected.confidence_interval(0.95)
    found = paired(A, B, "up")
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    assert found.correlation == pytest.approx(
        stats.pearsonr(list(A.values()), list(B.values())).statistic
    )


def test_positive_is_better_in_either_direction() -> None:
    up, down = paired(A, B, "up"), paired(A, B, "down")
    assert up.difference == pytest.approx(0.98)
    assert down.difference == pytest.approx(-0.98)
    assert (down.low, down.high) == pytest.approx((-up.high, -up.low))
    assert down.p == pytest.approx(up.p)


def test_only_shared_seeds_are_paired_and_the_others_counted() -> None:
    found = paired({**A, 9: 1.0}, {seed: B[seed] for seed in (1, 2, 3)}, "up")
    expected = stats.ttest_rel([A[s] for s in (1, 2, 3)], [B[s] for s in (1, 2, 3)])
    assert (found.n, found.unpaired) == (3, 3)
    assert found.p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(
    ("ours", "theirs", "p"),
    [
        ({}, {}, 1.0),
        ({0: 1.0}, {0: 2.0}, 1.0),
        ({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}, 1.0),
        ({0: 1.0, 1: 2.0}, {0: 2.0, 1: 3.0}, 0.0),
    ],
    ids=["nothing", "one pair", "identical", "always one less"],
)
def test_degenerate_pairs_have_a_p_value_and_give_no_warning(
    ours: dict[int, float], theirs: dict[int, float], p: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert paired(ours, theirs, "up").p == p


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_detectable_difference_is_statsmodels(n: int) -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels meets scipy's warnings far out
        expected = power.TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert detectable(n, 2.0) == pytest.approx(2.0 * float(expected), rel=1e-4)


def test_detectable_difference_is_found_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    n, alpha = 4, 0.0125
    effect = detectable(n, 1.0, alpha)
    draws = rng.normal(effect, 1.0, (20_000, n))
    found = stats.ttest_1samp(draws, 0, axis=1).pvalue < alpha
    assert found.mean() == pytest.approx(0.8, abs=0.012)


def test_holm_is_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(1)
    for count in (1, 2, 5, 20):
        values = (rng.uniform(size=count) ** 3).tolist()
        expected = multitest.multipletests(values, method="holm")[1]
        assert holm(values) == pytest.approx(expected.tolist())


def test_identical_methods_are_rarely_told_apart() -> None:
    """A/A: four methods alike against a control, 2,000 families, 5 seeds, correlated pairs."""
    rng = np.random.default_rng(2)
    families, methods, seeds = 2_000, 4, 5
    common = rng.normal(size=(families, 1, seeds))
    scores = common + rng.normal(size=(families, methods + 1, seeds))
    differences = scores[:, 1:] - scores[:, :1]
    p = stats.ttest_1samp(differences, 0, axis=2).pvalue
    wrong = np.mean([min(holm(row.tolist())) < 0.05 for row in p])
    assert wrong < 0.05 + 4 * math.sqrt(0.05 * 0.95 / families)
    ours = paired(dict(enumerate(scores[0, 1])), dict(enumerate(scores[0, 0])), "up")
    assert ours.p == pytest.approx(p[0, 0])


def test_frame_has_a_row_per_run_and_keeps_failures() -> None:
    rows = frame([*study({"single": [40.0, 41.0]}), record("hps", 0, None, status="diverged")])
    assert rows["method"].tolist() == ["single", "single", "hps"]
    assert rows["status"].tolist() == ["done", "done", "diverged"]
    assert rows["value"].isna().tolist() == [False, False, True]
    assert rows["auxiliaries"].unique().tolist() == ["depth"]
