"""Intervals, tests and corrections against scipy and statsmodels, and their error rates."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from auxbench.stats import (
    Claim,
    Paired,
    decide,
    detectable,
    frame,
    holm,
    imputed,
    interval,
    paired,
    ranks,
)
from auxbench.stats.paired import intervals
from tests.unit._records import record, study

MANY = 5  # methods on a problem, from which on the level is 5 %


def verdicts(family: list[Paired]) -> list[str]:
    return [one.verdict for one in decide([Claim(result, others=MANY) for result in family])]


A = {0: 41.2, 1: 43.9, 2: 40.1, 3: 44.4, 4: 42.0}
B = {0: 40.0, 1: 43.1, 2: 40.3, 3: 42.2, 4: 41.1}


def test_interval_is_scipys() -> None:
    values = list(A.values())
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval(values) == pytest.approx((np.mean(values), expected.low, expected.high))


def test_intervals_of_many_groups_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.standard_normal(n) for n in (5, 1, 0, 5, 20, 1)]
    wanted = [interval(group.tolist()) for group in groups]
    for column, expected in zip(intervals(groups), zip(*wanted, strict=True), strict=True):
        np.testing.assert_array_equal(column, expected)


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
        ({0: 1.0, 1: 2.0}, {0: 2.0, 1: 3.0}, 0.5),
        (dict.fromkeys(range(6), 1.0), dict.fromkeys(range(6), 2.0), 2**-5),
        ({0: 0.3, 1: 0.7, 2: 1.1}, {0: 0.2, 1: 0.6, 2: 1.0}, 0.25),
    ],
    ids=[
        "nothing",
        "one pair",
        "identical",
        "one less",
        "six times one less",
        "equal but for bits",
    ],
)
def test_degenerate_pairs_have_a_p_value_and_give_no_warning(
    ours: dict[int, float], theirs: dict[int, float], p: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = paired(ours, theirs, "up")
        assert found.p == p
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert math.isnan(found.detectable)


def test_equal_differences_are_no_proof_with_few_seeds() -> None:
    """A metric with few values, such as accuracy in steps of 1 %, gives equal differences often."""
    rng = np.random.default_rng(3)
    alike = rng.normal(50, 0.5, (2_000, 2, 2)).round()
    families = [[paired(dict(enumerate(a)), dict(enumerate(b)), "up")] for a, b in alike]
    assert np.mean([family[0].spread == 0 for family in families]) > 0.2
    wrong = np.mean([verdicts(family)[0] != "undecided" for family in families])
    assert wrong < 0.05 + 4 * math.sqrt(0.05 * 0.95 / len(families))


def test_correlation_is_not_read_off_two_pairs() -> None:
    assert math.isnan(paired({0: 1.0, 1: 2.0}, {0: 1.5, 1: 4.0}, "up").correlation)
    assert math.isnan(paired(A, dict.fromkeys(A, 40.0), "up").correlation)


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_other_levels_are_scipys_too(level: float) -> None:
    expected = stats.ttest_rel(list(A.values()), list(B.values())).confidence_interval(level)
    found = paired(A, B, "up", level=level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_detectable_difference_of_two_pairs() -> None:
    """By the upper tail alone; the lower one is 0, and statsmodels 0.14.0 is wrong here."""
    far = detectable(2, 2.0) / 2.0 * 2**0.5
    assert stats.nct.sf(stats.t.ppf(0.975, 1), 1, far) == pytest.approx(0.8, rel=1e-4)


@pytest.mark.parametrize("n", [3, 5, 10, 30])
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
    found = _simulate(families=2_000, effect=0.0)
    wrong = np.mean([set(family) != {"undecided"} for family in found])
    assert wrong < 0.05 + 4 * math.sqrt(0.05 * 0.95 / len(found))
    assert wrong > 0.01  # a procedure that never decides would pass too


def test_large_differences_are_found_whichever_way_they_point() -> None:
    for effect, verdict in ((10.0, "better"), (-10.0, "worse")):
        found = np.array(_simulate(families=100, effect=effect))
        assert (found == verdict).mean() > 0.99


@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize("share", [0.2, 0.4])
def test_losing_its_worst_seeds_makes_no_method_better(seeds: int, share: float) -> None:
    """Identical methods, of which one fails where it would have scored least, 1,000 times.

    By the seeds that finished it would be better in 5 to 23 % of them, where 2.5 % are promised.
    """
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(1_000):
        common = rng.normal(size=seeds)
        ours, theirs = common + rng.normal(size=(2, seeds))
        ours[np.argsort(ours)[: round(share * seeds)]] = math.nan
        runs = {"ours": dict(enumerate(ours)), "theirs": dict(enumerate(theirs))}
        whole = imputed(runs, "up")
        found += verdicts([paired(whole["ours"], whole["theirs"], "up")])[0] == "better"
    assert found / 1_000 < 0.025 + 4 * math.sqrt(0.025 * 0.975 / 1_000)


def test_where_there_is_no_score_nothing_is_imputed() -> None:
    assert imputed({"hps": {0: math.nan}, "single": {}}, "up") == {"hps": {}, "single": {}}


def test_ranks_are_scipys() -> None:
    values = np.random.default_rng(6).integers(0, 9, 30)
    found = ranks(dict(enumerate(values.tolist())))
    assert list(found.values()) == stats.rankdata(values).tolist()


def _simulate(families: int, effect: float, methods: int = 4, seeds: int = 5) -> list[list[str]]:
    """The verdicts of the shipped decision on methods that are all `effect` above the control."""
    rng = np.random.default_rng(2)
    common = rng.normal(size=(families, 1, seeds))
    scores = common + rng.normal(size=(families, methods + 1, seeds))
    scores[:, 1:] += effect
    result = []
    for control, *others in scores:
        base = dict(enumerate(control))
        family = [paired(dict(enumerate(other)), base, "up") for other in others]
        result.append(verdicts(family))
    return result


def test_adjusted_values_decide_as_statsmodels_does() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(4)
    family = [
        paired(dict(enumerate(rng.normal(1.5, 1, 5))), dict.fromkeys(range(5), 0.0), "up")
        for _ in range(30)
    ]
    expected = multitest.multipletests([result.p for result in family], 0.05, "holm")
    decisions = decide([Claim(result, others=MANY) for result in family])
    assert [one.p for one in decisions] == pytest.approx(expected[1].tolist())
    assert [one.verdict != "undecided" for one in decisions] == expected[0].tolist()
    assert 0 < sum(expected[0]) < 30


def test_frame_has_a_row_per_run_and_keeps_failures() -> None:
    rows = frame([*study({"single": [40.0, 41.0]}), record("hps", 0, None, status="diverged")])
    assert rows["method"].tolist() == ["single", "single", "hps"]
    assert rows["status"].tolist() == ["done", "done", "diverged"]
    assert rows["value"].isna().tolist() == [False, False, True]
    assert rows["auxiliaries"].unique().tolist() == ["depth"]


def test_frame_has_numbers_where_all_runs_failed() -> None:
    rows = frame([record("hps", seed, None, status="oom") for seed in (0, 1)])
    assert rows["value"].dtype == rows["train_flops"].dtype == np.float64
    assert rows["seed"].dtype == np.int64
    assert frame([]).empty


def test_a_run_has_one_row_and_a_failed_run_no_value() -> None:
    first, again = record("hps", 0, 1.0), record("hps", 0, 2.0)
    rows = frame([first, record("hps", 1, 3.0), again])
    assert rows["value"].tolist() == [2.0, 3.0]
    assert frame([{**first, "status": "killed"}])["value"].isna().all()
    assert frame(rows) is rows


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("protocol", "0"),
        ("dataset", "rooms:train=100"),
        ("primary", "depth"),
        ("auxiliaries", ["normals"]),
        ("auxiliaries", []),
        ("backbone", "vgg16"),
        ("pretrained", True),
        ("steps", 7),
        ("learning_rate", 0.5),
        ("schedule", None),
    ],
)
def test_whatever_differs_makes_another_problem_with_another_label(key: str, value: object) -> None:
    one, other = record("hps", 0, 1.0), record("hps", 0, 1.0)
    holder = other["run"] if key in other["run"] else other["run"]["recipe"]
    holder[key] = value
    if value is None:
        del holder[key]  # as a record of an earlier release, which did not know it
    first, second = frame([one, {**other, "id": "other"}])["problem"]
    assert first != second
