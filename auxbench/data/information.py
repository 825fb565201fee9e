"""Information: how much an auxiliary task's labels say about the primary's beyond the inputs.

The primary's labels are predicted twice by models that train in seconds: from simple features of
the inputs alone, and from these and the auxiliary's labels. Both predict samples that they were not
fitted to (five folds; the cells of one picture stay together). The gain is the share of the
primary's variance, or of its entropy, that only the second explains.

Each fold's prediction is a linear model's or that of boosted trees, whichever did better on the
other folds. The interval is that of the mean over samples of what the labels take off the loss, as
cross-validation gives it: Bayle, Bayle, Janson and Mackey, Cross-validation Confidence Intervals
for Test Error, NeurIPS 2020, https://arxiv.org/abs/2007.12671. Cells of one picture count as one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from auxbench.data.pooled import Pooled
from auxbench.errors import UsageError

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

FOLDS = 5
LEAST = 50  # samples with a label of the primary, below which nothing is said
MOST = 3_000  # rows that models are fitted to: cells of maps, or samples
COMPONENTS = 16  # principal components that stand for a thumbnail, long vectors or a map
LONG = 64  # numbers up to which a vector is used as it is
RARE = 1e-6  # the least chance that counts for a class
NORMAL = 1.96  # standard errors on either side of an interval of 95 %
OUTPUTS = 4  # channels of the primary that are predicted, those that vary most
# Share explained by labels that nearly determine the primary, by whether it is a class: models of
# seconds are never as sure of a class as they may be.
DETERMINED = {False: 0.98, True: 0.9}


@dataclass(frozen=True)
class Gain:
    """The information in the labels of some auxiliaries, as shares of the primary's.

    `alone` is the share that the inputs explain, `together` that with the labels, `gain` their
    difference with the bounds `low` and `high` of its 95 % interval. `determines` is True if the
    primary's labels all but follow from these, but not from the inputs.
    """

    auxiliaries: tuple[str, ...]
    alone: float
    together: float
    gain: float
    low: float
    high: float
    determines: bool = False


def available() -> bool:
    """Return whether scikit-learn is installed, which fits the models."""
    return find_spec("sklearn") is not None


class Information:
    """The models of one primary task on the samples of a split.

    `count` is the number of samples with a label of the primary and `unit` what is predicted, a
    sample or a cell of a map. Errors: `UsageError` for too few labelled samples, for labels that
    are all the same, and without scikit-learn.
    """

    def __init__(self, samples: Pooled, primary: str) -> None:
        if not available():
            raise UsageError(
                "what labels say of each other needs the package scikit-learn; "
                "pip install 'auxbench[advise]'."
            )
        self.samples = samples
        labels = samples.labels[primary]
        known = np.asarray(np.isfinite(labels.values).all(-1))
        self.count = int(np.asarray(known.any(1)).sum())
        if self.count < LEAST:
            raise UsageError(
                f"{self.count} samples have a label of '{primary}'; at least {LEAST} are needed "
                "to say what other labels tell of it."
            )
        self.dense, self.classes = labels.dense, labels.classes
        self.unit = "cell" if labels.dense else "sample"
        rows, cells = np.nonzero(known)
        if len(rows) > MOST:
            kept = np.sort(np.random.default_rng(0).permutation(len(rows))[:MOST])
            rows, cells = rows[kept], cells[kept]
        self.rows, self.cells = rows.astype(np.int64), cells.astype(np.int64)
        self.target = self._target(labels.values[rows, cells])
        if not self.target.size or len(np.unique(self.rows)) < FOLDS:
            what = (
                f"two classes with {2 * FOLDS} labels each" if self.classes else "labels that vary"
            )
            raise UsageError(
                f"'{primary}' does not have {what} in {FOLDS} samples or more, which are needed to "
                "say what other labels tell of it."
            )
        self.inputs = self._inputs()
        self.folds = self._folds()
        self._found: dict[tuple[str, ...], Numbers] = {}

    def gain(self, auxiliaries: Sequence[str]) -> Gain:
        """The information in the labels of these auxiliaries together."""
        alone, both = self._losses(()), self._losses(tuple(sorted(auxiliaries)))
        whole = float(self._baseline.mean())
        gains = (alone - both) / whole
        gain = float(gains.mean())
        # of every sample with n rows of N, n / N of the mean
        own = np.bincount(self.rows, gains - gain)[np.unique(self.rows)] / len(self.rows)
        half = NORMAL * math.sqrt(float((own**2).sum()))
        before, after = (1 - float(losses.mean()) / whole for losses in (alone, both))
        determines = after >= DETERMINED[bool(self.classes)] and gain > half
        return Gain(tuple(auxiliaries), before, after, gain, gain - half, gain + half, determines)

    def culprits(self, auxiliaries: Sequence[str]) -> Gain | None:
        """The fewest auxiliaries whose labels together nearly determine the primary's.

        Those are left out, one by one, without which the others still do. None if all together do
        not determine it.
        """
        found = self.gain(auxiliaries)
        if not found.determines:
            return None
        for name in auxiliaries:
            rest = [one for one in found.auxiliaries if one != name]
            if rest and (fewer := self.gain(rest)).determines:
                found = fewer
        return found

    def _target(self, values: Numbers) -> Numbers:
        """The primary's labels: the class [N], or numbers [N, outputs] that all count alike.

        The classes that hardly occur are left out, since folds may lack them. None is left if all
        labels are the same.
        """
        if self.classes:
            named: Numbers = values.argmax(1).astype(np.float64)
            present, counts = np.unique(named, return_counts=True)
            common = present[counts >= 2 * FOLDS]
            kept = np.isin(named, common) & (len(common) > 1)
            self.rows, self.cells = self.rows[kept], self.cells[kept]
            return named[kept]
        spread = np.where(np.ptp(values, axis=0) > 0, values.std(0), 0)
        varying = np.argsort(-spread, kind="stable")[: min(OUTPUTS, int((spread > 0).sum()))]
        return np.asarray((values[:, varying] - values[:, varying].mean(0)) / spread[varying])

    def _inputs(self) -> Numbers:
        """Simple features of the inputs, [rows, F]."""
        every = self.samples.inputs
        if not self.samples.cells.size:
            return (every if every.shape[1] <= LONG else _components(every))[self.rows]
        whole = _components(every)
        if not self.dense:
            return np.concatenate([whole, self.samples.cells.mean(1)], axis=1)[self.rows]
        here = self.samples.cells[self.rows, self.cells]
        side = math.isqrt(self.samples.cells.shape[1])
        place = np.column_stack([self.cells // side, self.cells % side])
        return np.concatenate([whole[self.rows], here, place], axis=1)

    def _labels(self, name: str) -> Numbers:
        """The labels of an auxiliary as features, [rows, F], NaN where there is none."""
        labels = self.samples.labels[name]
        if labels.dense and self.dense:
            return np.asarray(labels.values[self.rows, self.cells])
        if labels.dense:
            flat = labels.values.reshape(len(labels.values), -1)
            return _components(flat)[self.rows]
        return np.asarray(labels.values[self.rows, 0])

    def _folds(self) -> list[tuple[Indices, Indices]]:
        from sklearn.model_selection import GroupKFold

        groups = np.random.default_rng(1).permutation(len(self.samples))[self.rows]
        split = GroupKFold(FOLDS).split(self.target, groups=groups)
        return [(fit.astype(np.int64), held.astype(np.int64)) for fit, held in split]

    @property
    def _baseline(self) -> Numbers:
        """The loss of every row without any input."""
        losses = np.zeros(len(self.target))
        for fit, held in self.folds:
            if self.classes:
                names, counts = np.unique(self.target[fit], return_counts=True)
                chances = dict(zip(names.tolist(), (counts / counts.sum()).tolist(), strict=True))
                losses[held] = [
                    -math.log(chances.get(one, RARE)) for one in self.target[held].tolist()
                ]
            else:
                miss = self.target[held] - self.target[fit].mean(0)
                losses[held] = (miss**2).sum(1)
        return losses

    def _losses(self, auxiliaries: tuple[str, ...]) -> Numbers:
        """The loss of every row with the labels of some auxiliaries."""
        if auxiliaries not in self._found:
            features = [self.inputs, *(self._labels(name) for name in auxiliaries)]
            table = np.concatenate(features, axis=1)
            often = np.isfinite(table).sum(0) >= LEAST // 2  # so that every fold has some
            table = table[:, often]
            kinds = np.stack([self._linear(table), self._trees(table)])
            chosen = np.zeros(len(table))
            for _, held in self.folds:
                elsewhere = kinds.sum(1) - kinds[:, held].sum(1)
                chosen[held] = kinds[elsewhere.argmin(), held]
            self._found[auxiliaries] = chosen
        return self._found[auxiliaries]

    def _linear(self, table: Numbers) -> Numbers:
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression, RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        strengths = np.logspace(-6, 4, 11)
        model: Any = LogisticRegression(C=1.0, max_iter=300) if self.classes else RidgeCV(strengths)
        filled = SimpleImputer(add_indicator=True, keep_empty_features=True)
        return self._scored(table, [make_pipeline(filled, StandardScaler(), model)])

    def _trees(self, table: Numbers) -> Numbers:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        words: dict[str, Any] = {
            "learning_rate": 0.06,
            "max_iter": 120,
            "max_leaf_nodes": 12,
            "min_samples_leaf": max(5, min(20, len(table) // 40)),
            "early_stopping": False,
            "random_state": 0,
        }
        if self.classes:
            return self._scored(table, [HistGradientBoostingClassifier(**words)])
        outputs = self.target.shape[1]
        return self._scored(table, [HistGradientBoostingRegressor(**words) for _ in range(outputs)])

    def _scored(self, table: Numbers, models: Sequence[Any]) -> Numbers:
        """The loss of every row when it is held out; several models predict an output each."""
        losses = np.zeros(len(table))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that stops early is a worse one, which counts
            for fit, held in self.folds:
                truth, known = self.target[held], self.target[fit]
                if self.classes:
                    (model,) = models
                    names = np.unique(known).tolist()
                    chances = np.ones((len(held), 1))  # where all others are of one class
                    if len(names) > 1:
                        chances = model.fit(table[fit], known).predict_proba(table[held])
                    columns = {name: place for place, name in enumerate(names)}
                    own = [
                        float(row[columns[name]]) if name in columns else 0.0
                        for row, name in zip(chances, truth.tolist(), strict=True)
                    ]
                    losses[held] = -np.log(np.maximum(own, RARE))
                elif len(models) == 1:
                    single = known[:, 0] if known.shape[1] == 1 else known
                    made = models[0].fit(table[fit], single).predict(table[held])
                    losses[held] = ((made.reshape(truth.shape) - truth) ** 2).sum(1)
                else:
                    each = [
                        model.fit(table[fit], known[:, place]).predict(table[held])
                        for place, model in enumerate(models)
                    ]
                    losses[held] = ((np.column_stack(each) - truth) ** 2).sum(1)
        return losses


def _components(table: Numbers) -> Numbers:
    """Standardised columns as principal components; a row with a gap is NaN throughout."""
    whole = np.isfinite(table).all(1)
    result = np.full((len(table), min(COMPONENTS, table.shape[1])), np.nan)
    if whole.sum() < 2:
        return result
    used = table[whole]
    spread = used.std(0)
    used = (used - used.mean(0)) / np.where(spread > 0, spread, 1)
    _, _, directions = np.linalg.svd(used, full_matrices=False)
    made = used @ directions[:COMPONENTS].T
    result[whole, : made.shape[1]] = made
    return result
