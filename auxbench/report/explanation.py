"""Explanations: the statistics behind boards and comparisons, for readers who ask for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from auxbench.data.progress import counted
from auxbench.report.calibration import sentence

BOARD = (
    "Score of the deployed network on the test split: mean over the seeds that finished, with a "
    "95 % t-interval. Costs are means per run, latency the median: passes and FLOPs of training, "
    "parameters and MACs of what is deployed.",
    "Methods of a tier cannot be told apart from its best one (see auxbench compare); the rank is "
    "a 95 % interval from a bootstrap over seeds.",
    "Do not judge by overlapping intervals; auxbench compare pairs the seeds.",
)


def comparison(
    places: Collection[str], fixed: Collection[str], sizes: Mapping[str, int]
) -> Iterator[str]:
    """Explain a comparison on some problems, of which the `fixed` have the same data for all seeds.

    `sizes` are the numbers of comparisons in the confirmatory and the exploratory family.
    """
    yield (
        "Estimand: the mean difference in the primary score, positive where the method is "
        f"better, in the metric's own unit, {_data(places, fixed)} Nothing is claimed about other "
        "data, or about the options that another tuning would choose."
    )
    yield (
        "Paired t-test by seed; each interval by itself has 95 % coverage if no run collapses. "
        f"Differences are decided at 5 % over {_families(sizes)}, and so is 'equivalent': a "
        "difference smaller than the margin that the data set declares (two one-sided tests). "
        "Detectable: the smallest true difference that such a test finds with 80 % power."
    )
    yield (
        "Nothing corrects for looking at several controls, or for seeds that are added after "
        "looking, except at the planned looks of auxbench run --until decided."
    )
    yield sentence()


def _families(sizes: Mapping[str, int]) -> str:
    """The families, in words; exact duplicates count as one comparison."""
    confirmatory, exploratory = (sizes.get(kind, 0) for kind in ("confirmatory", "exploratory"))
    if confirmatory:
        text = f"the {counted(confirmatory, 'declared comparison')} (Holm)"
        rest = f"the {counted(exploratory, 'other')}"
        return f"{text}, and separately over {rest}" if exploratory else text
    if exploratory == 1:
        return "this one comparison"
    return f"the family of {exploratory} comparisons recorded against the control (Holm)"


def _data(places: Collection[str], fixed: Collection[str]) -> str:
    """The data that differences are about, as part of a sentence."""
    if set(fixed) == set(places):
        return "on these data, over the randomness of training."
    drawn = (
        "over draws of the data, i.e. new samples or other splits of one fixed set (see "
        "auxbench show dataset), and over the randomness of training"
    )
    return f"{drawn}, except for {', '.join(fixed)}: on its data." if fixed else f"{drawn}."
