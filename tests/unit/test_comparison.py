"""Comparisons beyond the plain case: what is paired, what is one family, and what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from auxbench.errors import UsageError
from auxbench.records.declared import Declared
from auxbench.report.comparison import compare
from auxbench.report.tables import render
from auxbench.stats import frame, holm
from tests.unit._records import record, study

SCORES = {
    "single": [40.0, 41.0, 42.0, 40.5, 41.5],
    "hps": [40.3, 40.9, 42.4, 40.2, 41.9],
    "auxnas": [50.1, 51.0, 52.2, 50.4, 51.6],
}
# with fewer than four methods besides the control, copies counted once, the level is stricter
BELOW = {"dwa": 0.2, "uw": 0.21, "rlw": 0.22}
MORE = {name: [39.2 - less, 40.2, 41.2, 39.7, 40.7] for name, less in BELOW.items()}
RECORDS = study(SCORES)
ALL = study(SCORES | MORE)


def test_two_names_are_a_method_and_its_control_however_they_are_written() -> None:
    apart, joined = compare(RECORDS, ["auxnas", "hps"]), compare(RECORDS, ["auxnas,hps"])
    assert apart == joined
    (difference,) = apart.differences
    assert (difference.method, difference.control) == ("auxnas", "hps")
    assert difference.verdict == "better"
    assert compare(frame(RECORDS), ["auxnas", "hps"]) == apart


def test_a_smaller_error_is_a_positive_difference() -> None:
    values = {"single": [0.50, 0.61, 0.55], "hps": [0.40, 0.50, 0.46]}
    values |= {name: [0.5 + less, 0.8, 0.75] for name, less in BELOW.items()}
    (row,) = compare(study(values, direction="down"), ["hps", "single"]).table().rows
    assert row["difference"] == pytest.approx(0.1)
    assert row["low"] > 0
    assert row["verdict"] == "better"


def test_all_problems_are_one_family_and_keep_their_own_units() -> None:
    errors = {"single": [0.5, 0.6, 0.7], "hps": [0.55, 0.6, 0.8]}
    other = study(errors, direction="down", primary="depth")
    comparison = compare([*RECORDS, *other], [], control="single")
    rows = comparison.table().rows
    assert len(rows) == 3
    assert [row["unit"] for row in rows] == ["%", "%", "m"]
    raised = [row["p"] * 0.05 / level for row, level in zip(rows, (0.01, 0.01, 0.001), strict=True)]
    assert [row["p_holm"] for row in rows] == pytest.approx(holm(raised).tolist())
    assert {row["place"].split(" with")[0] for row in rows} == {"rooms segmentation", "rooms depth"}
    assert "the family of 3 comparisons recorded against the control (Holm)" in " ".join(
        comparison.explanation()
    )
    assert "| problem |" in render([comparison.table()], "markdown")


def test_one_problem_needs_no_column_for_it() -> None:
    table = compare(RECORDS, [], control="single").table()
    header = next(line for line in render([table], "markdown").splitlines() if "|" in line)
    assert header == (
        "| method | control | verdict | pairs | difference | 95 % interval | median "
        "| sign-flip interval | adjusted p | correlation | detectable |"
    )
    assert table.title == "rooms segmentation with depth; resnet18; budget small: miou in %"


def test_json_holds_every_number_and_no_nan() -> None:
    records = [*RECORDS, record("olaux", 0, 40.0)]
    rows = json.loads(render([compare(records, [], control="single").table()], "json"))
    by_method = {row["method"]: row for row in rows}
    assert [by_method["olaux"][key] for key in ("low", "p", "p_holm", "detectable")] == [None] * 4
    assert by_method["olaux"]["unpaired"] == 4
    assert by_method["auxnas"]["p_holm"] < 0.05 < by_method["hps"]["p_holm"]
    assert by_method["auxnas"]["dataset"] == "rooms"


def test_a_verdict_reads_as_a_sentence() -> None:
    better, undecided = compare(ALL, ["auxnas", "hps"], control="single").sentences()
    assert better == (
        "auxnas against single on rooms segmentation with depth (miou): better. The difference is "
        "+10.06 % [+9.92, +10.20] over 5 paired seeds, adjusted p < 0.001."
    )
    assert undecided == (
        "hps against single on rooms segmentation with depth (miou): undecided. The difference is "
        "+0.14 % [-0.26, +0.54] over 5 paired seeds, adjusted p = 0.385; the test has 80 % power "
        "for a true difference of 0.84 % or more."
    )


def test_identical_and_constant_differences_are_undecided_in_words() -> None:
    copies = MORE | {"single": SCORES["single"], "copy": SCORES["single"], "shift": [0.0] * 5}
    copies["shift"] = [value + 1 for value in SCORES["single"]]
    shift, copy = compare(study(copies), ["shift", "copy"], control="single").sentences()
    assert copy.endswith("undecided. The scores are identical on 5 paired seeds.")
    assert "undecided. The difference is +1.0 % on each of 5 paired seeds" in shift
    assert "only the signs can be tested: adjusted p = 0.125." in shift
    assert "nan" not in shift + copy


def test_failed_and_partnerless_runs_are_in_the_sentence() -> None:
    records = [
        *RECORDS,
        record("hps", 5, None, status="diverged"),
        record("hps", 6, None, status="oom"),
        record("single", 5, 40.0),
        record("single", 6, None, status="oom"),
        record("single", 7, 40.0),
    ]
    comparison = compare(records, ["hps", "single"])
    (sentence,) = comparison.sentences()
    assert "2 runs of hps gave no score (1 diverged, 1 oom), which counts as the" in sentence
    assert "1 run of single gave no score (1 oom), which counts as the worst score." in sentence
    assert "1 score without a partner left out." in sentence
    (row,) = comparison.table().rows
    assert (row["n"], row["unpaired"], row["failed"], row["control_failed"]) == (7, 1, 2, 1)
    assert "would flatter a method that fails" in " ".join(comparison.notes())


def test_a_failed_run_counts_as_the_worst_score_of_its_problem_on_either_side() -> None:
    records = [*study({**SCORES, "collapsed": [12.0]}), record("single", 5, 44.0)]
    failed = [*records, record("hps", 5, None, status="diverged")]
    worst = [*records, record("hps", 5, 12.0)]
    (row,), (expected,) = (compare(r, ["hps", "single"]).table().rows for r in (failed, worst))
    assert {**row, "failed": 0} == expected
    (turned,) = compare(failed, ["single", "hps"]).table().rows
    assert turned["difference"] == -row["difference"]
    assert turned["p"] == row["p"]


def test_who_fails_is_never_better_by_the_seeds_that_finished() -> None:
    """Better by 10 wherever it finished, which it did in six seeds of twenty."""
    single = [40.0 + 0.1 * (seed % 7) for seed in range(20)]
    finished = {seed: 50.0 + 0.1 * (seed % 5) for seed in range(6)}
    records = study({"single": single, "collapsed": [10.0]})
    records += [
        record("hps", seed, finished.get(seed), status="done" if seed in finished else "diverged")
        for seed in range(20)
    ]
    (difference,) = compare(records, ["hps", "single"]).differences
    assert difference.verdict == "worse"
    assert (difference.result.n, difference.finished) == (20, 6)
    assert (difference.control_rank, difference.rank) == (1.0, 2.0)


@pytest.mark.parametrize(("seeds", "verdict"), [(3, "undecided"), (6, "worse")])
def test_a_method_that_always_failed_is_compared_as_the_worst(seeds: int, verdict: str) -> None:
    single = [40.0, 41.0, 42.0, 41.5, 42.5, 41.8]
    more = {name: [value - less for value in single] for name, less in BELOW.items()}
    records = study({"single": single, **more})
    records += [record("olaux", seed, None, status="error") for seed in range(seeds)]
    comparison = compare(records, ["olaux"], control="single")
    (sentence,) = comparison.sentences()
    assert f": {verdict}. The difference is -1." in sentence
    assert f"{seeds} runs of olaux gave no score ({seeds} error), which counts" in sentence
    for style in ("text", "markdown", "latex", "csv", "json"):
        assert "olaux" in render([comparison.table()], style)


def test_where_nobody_has_a_score_nothing_is_compared() -> None:
    records = [record(name, 0, None, status="error") for name in ("olaux", "single")]
    (sentence,) = compare(records, ["olaux"], control="single").sentences()
    assert "undecided, since there are no paired seeds to test. 1 run of olaux gave no" in sentence


def test_notes_name_the_estimand_the_test_and_the_correction() -> None:
    notes = " ".join(compare(RECORDS, [], control="single").explanation())
    for words in (
        "Estimand: the mean difference",
        "randomness of training",
        "Paired t-test",
        "Holm",
    ):
        assert words in notes
    assert "large differences can be decided" not in notes
    few = compare(study({"a": [1.0, 2.0, 3.1], "b": [1.0, 2.2, 2.9]}), ["a", "b"])
    assert "has 3 pairs: with fewer than 5 only large differences" in " ".join(few.notes())


def test_pairs_that_do_not_correlate_are_named() -> None:
    turned = {"single": SCORES["single"], "odd": [42.0, 41.0, 40.0, 41.5, 40.5]}
    notes = " ".join(compare(study(turned), ["odd", "single"]).notes())
    assert "gained little for scores that hardly correlate: odd and single (-1.00)." in notes
    assert "gained little" not in " ".join(compare(RECORDS, [], control="single").notes())


def test_what_some_problems_alone_have_names_them() -> None:
    other = study({"single": [30.0, 31.0], "hps": [32.0, 33.0]}, backbone="vgg16")
    for commit, one in zip("abab", other, strict=True):
        one["environment"] = {"commit": commit}
    here = study({"single": [40.0, 41.0], "hps": [42.0, 43.0]})
    alone = " ".join(compare(other, ["hps", "single"]).notes())
    assert "Runs were made from 2 commits of auxbench." in alone
    both = " ".join(compare([*here, *other], ["hps", "single"]).notes())
    assert "2 commits of auxbench (rooms segmentation with depth; vgg16)." in both


def test_methods_missing_on_a_problem_are_named() -> None:
    records = [*RECORDS, *study({"hps": [30.0, 31.0]}, backbone="vgg16")]
    notes = " ".join(compare(records, ["auxnas", "hps"], control="single").notes())
    assert "not recorded there: single on rooms segmentation with depth; vgg16;" in notes
    with pytest.raises(UsageError, match="no problem has 'single' and 'pcgrad'"):
        compare([*RECORDS, *study({"pcgrad": [30.0]}, backbone="vgg16")], ["pcgrad", "single"])


@pytest.mark.parametrize(
    ("records", "methods", "message"),
    [
        ([], ["a", "b"], "there are no records to compare; auxbench run makes some."),
        (RECORDS, [], "an empty list cannot be compared; name two, or one with --control."),
        (RECORDS, ["hps", "hps"], "one method cannot be compared; name two"),
        (RECORDS, ["hps", "auxnsa"], "no record has method 'auxnsa'; did you mean 'auxnas'?"),
    ],
    ids=["no records", "no methods", "twice the same", "unknown"],
)
def test_what_cannot_be_compared_is_one_line(
    records: list[dict[str, object]], methods: list[str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        compare(records, methods)
    assert message in str(caught.value)


def test_a_family_is_what_is_recorded_and_not_what_is_typed() -> None:
    everything = {d.method: d.decision for d in compare(ALL, [], "single").differences}
    for name in ("hps", "auxnas", "uw"):
        (alone,) = compare(ALL, [name], "single").differences
        assert alone.decision == everything[name]
    other = study(SCORES, primary="depth")
    problem = compare(ALL, ["hps"], "single").differences[0].where["problem"]
    whole = compare([*ALL, *other], [], "single").differences
    part = compare([*ALL, *other], [], "single", within=[problem]).differences
    assert {d.where["problem"] for d in part} == {problem}
    judged = {d.method: d.decision for d in whole if d.where["problem"] == problem}
    assert {d.method: d.decision for d in part} == judged


def test_copies_of_a_method_do_not_loosen_the_level() -> None:
    scores = {"single": SCORES["single"], "hps": [v + 1 + v % 1 for v in SCORES["single"]]}
    (alone,) = compare(study(scores), ["hps"], "single").differences
    copies = scores | dict.fromkeys(("uw", "dwa", "rlw", "sum-copy"), scores["hps"])
    among = compare(study(copies), ["hps"], "single").differences[0]
    assert among.claim.others == alone.claim.others == 1
    assert among.decision.p == alone.decision.p


def test_failing_makes_no_method_better() -> None:
    """Of a method that is a little better where it does not fail, in a fifth of its runs."""
    rng = np.random.default_rng(0)
    seeds = rng.standard_normal((6, 20))
    scores = {"single": seeds[0], "hps": seeds[0] + 0.5 + 0.3 * seeds[1]}
    scores |= {name: seeds[place] for place, name in enumerate(("uw", "dwa", "rlw", "gcs"), 2)}
    records = study({name: values.tolist() for name, values in scores.items()})
    failing = [
        record("hps", r["run"]["seed"], None, status="diverged")
        if r["run"]["method"] == "hps" and r["run"]["seed"] % 5 == 0
        else r
        for r in records
    ]
    verdicts = []
    for some in (records, failing):
        (difference,) = compare(some, ["hps"], "single").differences
        verdicts.append(difference.verdict)
    assert verdicts == ["better", "undecided"]


def test_declared_comparisons_are_a_family_of_their_own() -> None:
    declared = {("hps", "single"): 0, ("auxnas", "hps"): 0}
    comparison = compare(ALL, [], "single", declared=declared)
    kinds = {d.method: d.kind for d in comparison.differences}
    assert kinds == dict.fromkeys(("auxnas", "dwa", "rlw", "uw"), "exploratory") | {
        "hps": "confirmatory"
    }
    (hps,) = [d for d in comparison.differences if d.method == "hps"]
    assert hps.decision.p == pytest.approx(hps.result.p)  # nothing to correct for
    notes = " ".join([*comparison.notes(), *comparison.explanation()])
    assert "the 1 declared comparison (Holm), and separately over the 4 others" in notes
    assert "declared when" not in notes
    late = compare(ALL, [], "single", declared={("hps", "single"): 7})
    assert "were declared when 7 runs had been made." in " ".join(late.notes())


def test_what_is_declared_stays_and_has_to_be_a_pair(tmp_path: Path) -> None:
    declared = Declared(tmp_path)
    declared.append("hps/single", 0)
    declared.append("hps/single, uw/hps", 9)
    assert declared.pairs() == {("hps", "single"): 0, ("uw", "hps"): 9}
    for text in ("hps", "hps/", "a/b/c"):
        with pytest.raises(UsageError, match=f"comparison '{text}' is not METHOD/CONTROL"):
            declared.append(text, 0)
