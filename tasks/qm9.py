"""Small organic molecules: predict nine properties that were computed by quantum chemistry.

The primary task is the gap between the highest occupied and the lowest unoccupied orbital; the
auxiliary tasks are dipole moment, polarisability, electronic spatial extent, zero-point vibrational
energy, energy of atomisation and heat capacity, from which a linear regression explains 47 % of the
gap's variance. The energies of the two orbitals, `homo` and `lumo`, are tasks too, but only on
request: the gap is their difference, so the labels of both contain the answer. QM9 is a common
benchmark of multi-task learning on graphs of atoms. Here a molecule is a vector: the numbers of its
H, C, N, O and F atoms, and the eigenvalues of its Coulomb matrix by decreasing magnitude. A
perceptron is trained on few labels (1,000 by default) and tested on many, which makes scores
precise.

Inputs and targets are standardised by the training split, so an error of 1 is what predicting the
mean achieves; inputs are clipped at 5 standard deviations, because few molecules are large enough
for the last eigenvalues. The 130,831 molecules are those that passed the authors' test of
consistency.

The data are not part of auxbench: they come with the package `qm9pack`, by the first author of the
data, under the MIT licence. There is no official split: every seed draws its own.

Sources: Ramakrishnan, Dral, Rupp and von Lilienfeld, Quantum Chemistry Structures and Properties of
134 Kilo Molecules, Scientific Data 1, 2014, https://doi.org/10.1038/sdata.2014.22; for the Coulomb
matrix, Rupp, Tkatchenko, Müller and von Lilienfeld, Fast and Accurate Modeling of Molecular
Atomization Energies with Machine Learning, Physical Review Letters 108, 2012,
https://doi.org/10.1103/PhysRevLett.108.058301; for a perceptron that predicts many properties
at once, Montavon, Rupp, Gobre, Vazquez-Mayagoitia, Hansen, Tkatchenko, Müller and von Lilienfeld,
Machine Learning of Molecular Electronic Properties in Chemical Compound Space, New Journal of
Physics 15, 2013, https://doi.org/10.1088/1367-2630/15/9/095003
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from auxbench import DATASETS, Dataset, Samples
from auxbench.data.arrays import Vectors
from auxbench.data.dataset import Draw, Indices, InMemory, Task, named
from auxbench.data.kinds import Number
from auxbench.data.prepared import cache
from auxbench.data.prepared.kept import Arrays, kept
from auxbench.errors import UsageError
from auxbench.spec.marks import Help

Numbers = npt.NDArray[np.float64]

SPLITS = ("train", "validation", "test")
PARTS = tuple(f"qm9_part{part}.csv" for part in (1, 2, 3))
COLUMNS = {
    "gap": "HOMO_LUMO_gap_au",
    "homo": "HOMO_au",
    "lumo": "LUMO_au",
    "dipole": "Dipole_debye",
    "polarisability": "Polarizability_bohr3",
    "extent": "R2_bohr2",
    "vibration": "ZPVE_au",
    "atomisation": "InternalEnergy_0K_au",
    "heat": "Heatcapacity_Cv_cal_mol_K",
}
CHARGES = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
# energies of single atoms in Hartree, by the method used for the molecules
ATOMS = np.array([-0.500273, -37.846772, -54.583861, -75.064579, -99.718730])
COUNT = 130_831  # molecules
LARGEST = 29  # atoms
BOHR = 0.529177210903  # in ångström
CUT = 5.0


@DATASETS.register
class QM9(Dataset):
    """Properties of molecules, with a chosen number of them in each split.

    The molecules are shuffled once per draw; the test split is taken from the front, then
    validation, then training, so a larger training split begins with a smaller one. What is
    computed from all molecules is kept in the cache folder.

    Errors: `UsageError` when a split is empty or there are not enough molecules, and when the
    package `qm9pack` is missing or cannot be read.
    """

    licence = "MIT"
    extra = "qm9"
    backbone = "mlp"
    features = len(CHARGES) + LARGEST
    tasks: Mapping[str, Task] = named({name: Number() for name in COLUMNS})
    primary = "gap"
    auxiliaries = (
        "dipole",
        "polarisability",
        "extent",
        "vibration",
        "atomisation",
        "heat",
    )

    def __init__(
        self,
        *,
        train: Annotated[int, Help("Number of training molecules.")] = 1000,
        validation: Annotated[int, Help("Number of validation molecules.")] = 2000,
        test: Annotated[int, Help("Number of test molecules.")] = 10_000,
        draw: Draw = None,
    ) -> None:
        self.draw = draw or 0
        self.counts = dict(zip(SPLITS, (train, validation, test), strict=True))
        for split, count in self.counts.items():
            if count < 1:
                raise UsageError(f"{split} '{count}' of 'qm9' is too small; choose 1 or more.")
        if sum(self.counts.values()) > COUNT:
            raise UsageError(
                f"train '{train}' of 'qm9' is too large with the other splits; choose less, of "
                f"{COUNT:,} molecules in all."
            )

    @classmethod
    def tiny(cls) -> Dataset:
        """Sixteen chains of a few atoms with made-up properties."""
        data, draws = cls(train=8, validation=4, test=4), np.random.default_rng(COUNT)
        charges = [draws.choice(list(CHARGES.values()), 3 + place % 4) for place in range(16)]
        places = [np.cumsum(draws.normal(size=(len(of), 3)), axis=0) for of in charges]
        inputs = np.stack([_counts(of) for of in charges])
        inputs = np.concatenate([inputs, _eigenvalues(charges, places)], axis=1)
        mixing = draws.normal(size=(inputs.shape[1], len(COLUMNS)))
        data.molecules = {"inputs": inputs, "properties": inputs @ mixing}
        return InMemory(data, data.samples)

    def prepare(self) -> None:
        _ = self.molecules

    def identity(self) -> dict[str, Any]:
        return {"qm9pack": version("qm9pack")}

    def samples(self, split: str) -> Samples:
        rows, training = self.rows()[split], self.rows()["train"]
        inputs, properties = (self.molecules[name] for name in ("inputs", "properties"))
        targets = _standardised(properties, training)[rows]
        return Vectors(
            _standardised(inputs, training)[rows].clip(-CUT, CUT),
            {name: targets[:, [place]] for place, name in enumerate(COLUMNS)},
        )

    def rows(self) -> dict[str, Indices]:
        """Return the molecules of every split."""
        order = np.random.default_rng([COUNT, self.draw]).permutation(len(self.molecules["inputs"]))
        ends = np.cumsum([self.counts[split] for split in ("test", "validation", "train")])
        test, validation, train, _ = np.split(order, ends)
        return {"train": train, "validation": validation, "test": test}

    @cached_property
    def molecules(self) -> Arrays:
        """Inputs [N, F] and properties [N, tasks] of all molecules, not standardised."""
        folder = _folder()
        # the name must change with anything that changes a number
        file = cache.root() / f"qm9-{version('qm9pack')}-eigenvalues.npz"
        return kept(file, lambda: _read(folder))


def _folder() -> Path:
    # found without importing it, since it needs packages that it does not declare
    found = find_spec("qm9pack")
    if found is None or found.origin is None:
        raise UsageError("data set 'qm9' needs the package qm9pack; pip install 'auxbench[qm9]'.")
    return Path(found.origin).parent / "data"


def _read(folder: Path) -> Arrays:
    charges, places, properties = [], [], []
    for part in PARTS:
        path = folder / part
        try:
            for row in _rows(path):
                elements = row["Elements"].strip("[]").replace("'", "").split(",")
                charges.append(np.array([CHARGES[element.strip()] for element in elements]))
                numbers = row["XYZ_Ang"].replace("[", "").replace("]", "").split(",")
                places.append(np.array(numbers, dtype=float).reshape(-1, 3))
                properties.append([float(row[column]) for column in COLUMNS.values()])
        except (OSError, KeyError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not the molecules of QM9"
            raise UsageError(
                f"data set 'qm9' cannot read '{path}' ({why}); reinstall the package qm9pack."
            ) from None
    counts = np.stack([_counts(of) for of in charges])
    table = np.array(properties)
    table[:, list(COLUMNS).index("atomisation")] -= counts @ ATOMS
    return {
        "inputs": np.concatenate([counts, _eigenvalues(charges, places)], axis=1),
        "properties": table,
    }


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def _counts(charges: Indices) -> Numbers:
    """Count the atoms of every element in a molecule, [5]."""
    return np.array([(charges == charge).sum() for charge in CHARGES.values()], dtype=float)


def _eigenvalues(charges: Sequence[Indices], places: Sequence[Numbers]) -> Numbers:
    """Eigenvalues of Coulomb matrices by decreasing magnitude, padded with zeros to [N, 29]."""
    sizes = np.array([len(of) for of in charges])
    result = np.zeros((len(sizes), LARGEST))
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size).tolist()
        z = np.stack([charges[row] for row in rows]).astype(float)
        xyz = np.stack([places[row] for row in rows]) / BOHR
        distances = np.linalg.norm(xyz[:, :, None] - xyz[:, None], axis=-1)
        diagonal = np.arange(size)
        distances[:, diagonal, diagonal] = 1
        matrices = z[:, :, None] * z[:, None] / distances
        matrices[:, diagonal, diagonal] = z**2.4 / 2
        values = np.linalg.eigvalsh(matrices)
        order = np.argsort(-np.abs(values), axis=1)
        result[rows, :size] = np.take_along_axis(values, order, axis=1)
    return result


def _standardised(table: Numbers, training: Indices) -> Numbers:
    """Columns with mean 0 and deviation 1 over the training rows; a constant one stays constant."""
    mean, deviation = table[training].mean(axis=0), table[training].std(axis=0)
    result: Numbers = (table - mean) / np.where(deviation > 0, deviation, 1)
    return result
