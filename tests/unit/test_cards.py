"""Cards say what the classes say, and what the classes say is true."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch

from auxbench.report import method as report
from auxbench.spec import passes
from auxbench.spec.description import Card
from auxbench.spec.grammar import options_of
from auxbench.spec.registry import DATASETS, METHODS, Registry
from auxbench.training import gradients
from auxbench.training.balancer import Balancer
from auxbench.training.gradients import Signals
from tests.contract._parts import BALANCERS, training

TASKS = 4


@pytest.mark.parametrize("name", METHODS.names())
def test_a_card_says_what_the_class_does(name: str) -> None:
    card, maker = METHODS.card(name), METHODS[name]
    assert {key: getattr(maker, key) for key in card.attributes} == card.attributes
    declared = {"family", "also", "asymmetric"}
    declared |= {"reads", "reads_every", "scales_private"} if name in BALANCERS else {"generates"}
    assert declared <= set(card.attributes)
    assert all(callable(getattr(maker, key)) or hasattr(maker, key) for key in card.defines)


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_data_sets_card_says_what_the_class_does(name: str) -> None:
    card, maker = DATASETS.card(name), DATASETS[name]
    assert {key: getattr(maker, key) for key in card.attributes} == card.attributes
    assert {"licence", "primary", "auxiliaries"} <= set(card.attributes)


@pytest.mark.parametrize(
    "name",
    ["pcgrad", "famo", "autolambda", "auxilearn", "slgrad", "forkmerge", "auxnas", "auxinash"],
)
def test_the_splits_of_a_card_are_those_that_training_reads(name: str) -> None:
    read = {split for stage in training(name).learner.stages for split in stage.splits}
    assert METHODS.card(name).splits == read - {"train"}


@pytest.mark.parametrize(
    ("method", "auxiliaries"),
    [
        ("sum", 2),
        ("pcgrad", 2),
        ("dbmtl", 2),
        ("gradnorm", 2),
        ("famo", 2),
        ("arml:every=3", 2),
        ("autolambda", 2),
        ("slgrad", 1),
        ("auxilearn:every=3:terms=2", 2),
        ("auxinash:every=1:terms=1", 1),
        ("auxnas", 1),
        ("maxl", 1),
        ("olaux", 3),
    ],
)
def test_the_formula_is_what_the_meter_counts(method: str, auxiliaries: int) -> None:
    names = ("depth", "scene", "normals")[:auxiliaries]
    run = training(method, steps=3, auxiliaries=names)
    run.run()
    name, _, words = method.partition(":")
    card = METHODS.card(name)
    options = {key: float(value) for key, value in (w.split("=") for w in words.split(":") if w)}
    counted = passes.count(
        len(run.learner.architecture.tasks),
        card.attributes.get("reads", ()),
        card.attributes["also"],
        card.attributes.get("reads_every", ""),
        options,
    )
    summary = run.meter.summary()
    kinds = passes.Passes._fields
    assert {kind: 3 * value for kind, value in counted._asdict().items()} == pytest.approx(
        {kind: summary[kind] for kind in kinds}
    )


def test_the_rule_for_the_primarys_row_is_that_of_the_gradients() -> None:
    assert passes.FORWARD_FROM == gradients.FORWARD_FROM
    assert passes.count(3, {"inner"}) == (1, 3, 0, 0)
    assert passes.count(4, {"inner"}) == (1, 2, 0, 1)
    assert passes.count(4, {"inner", "gramian"}) == (1, 4, 0, 0)


@pytest.mark.parametrize(
    ("reads", "also", "every", "text"),
    [
        (set(), "", "", "F + B"),
        ({"rows"}, "", "", "F + T B"),
        ({"gramian", "norms"}, "", "", "F + T B + T b"),
        ({"inner"}, "", "", "F + min(T B, 2 B + J)"),
        ({"gramian"}, "", "every", "F + B + (T - 1) B / every"),
        (set(), "2 F + 2 B + J", "", "3 F + 3 B + J"),
        (set(), "(2 F + 2 B) / 50", "", "F + B + (2 F + 2 B) / 50"),
    ],
)
def test_formulas(reads: set[str], also: str, every: str, text: str) -> None:
    assert passes.formula(reads, also, every) == text


def test_a_formula_with_a_name_that_has_no_value_is_not_counted() -> None:
    with pytest.raises(KeyError, match="every"):
        passes.count(2, (), "(F + B) / every")


def directions(balancer: Balancer, order: list[int], seed: int) -> torch.Tensor:
    """The combined gradients of a few batches whose tasks come in another order."""
    generator = torch.Generator().manual_seed(seed)
    result = []
    for step in range(12):
        rows = torch.randn(TASKS, 6, generator=generator, dtype=torch.float64)
        losses = torch.tensor([1.0 + i + 0.1 * (i - 1.5) * step for i in range(TASKS)])
        signals = Signals.of(losses[order].tolist(), rows[order], learning_rate=0.05)
        weighed = rows[order] * balancer.weights(signals)[:, None]
        edited = balancer.edit([(row,) for row in weighed])
        result.append(torch.stack([row[0] for row in edited if row[0] is not None]).sum(dim=0))
    return torch.stack(result)


def permuted_alike(name: str, seed: int) -> bool:
    """Whether the rule gives one direction however its tasks, the primary too, are ordered."""
    order = random.Random(seed).sample(range(TASKS), TASKS)
    order = order if order[0] else [*order[1:], 0]
    names = [f"task{i}" for i in range(TASKS)]
    make: Callable[..., Any] = METHODS[name]
    one, other = (make(names, torch.Generator().manual_seed(3)) for _ in range(2))
    straight, turned = directions(one, list(range(TASKS)), seed), directions(other, order, seed)
    return torch.allclose(straight, turned, rtol=1e-5, atol=1e-8)


RULES: dict[str, Any] = {name: METHODS[name] for name in BALANCERS}
SYMMETRIC = [n for n, rule in RULES.items() if rule.permutes and not rule.asymmetric]
# What happens in phases, in samples and in labels does not show in the weights of a batch.
ELSEWHERE = {"before", "around", "weigh_samples", "relabel"}
ASYMMETRIC = [
    n for n, rule in RULES.items() if rule.asymmetric and not ELSEWHERE & METHODS.card(n).defines
]


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_balancers_do_not_see_which_task_is_first(name: str) -> None:
    assert all(permuted_alike(name, seed) for seed in range(3))


@pytest.mark.parametrize("name", ASYMMETRIC)
def test_asymmetric_balancers_see_which_task_is_first(name: str) -> None:
    assert not all(permuted_alike(name, seed) for seed in range(3))


def test_the_asymmetric_rules_are_known() -> None:
    assert set(ASYMMETRIC) == {"arml", "gcs", "metabalance", "olaux", "pripcgrad"}


MODULE = '''"""A part: it does something.

A list of things:
* one that is
  long;
* two.

Known flaws: none of note.

Source: A. Author, "Title", ICML 2020, https://a.b/c

Source: B. Author, "Other", 2021, https://a.b/d
"""
from auxbench.balancer import Balancer
from ._helper import Helper as Base

class Other(Base):
    family = "other"

@METHODS.register
class Part(Base):
    reads = frozenset({"norms"})
    forks = compute()
    def after(self): ...
    @property
    def degree(self): ...
'''
HELPER = '''"""A helper."""
from auxbench.balancer import Balancer
class Helper(Balancer):
    family, = ("no literal",)
    asymmetric: bool = True
    degree = 2.0
    names = ("a", "b")
    def helps(self): return "holdout"
'''


def test_a_card_follows_imports_and_leaves_out_what_is_no_literal(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "_helper.py").write_text(HELPER, encoding="utf-8")
    card = Card.read("part", tmp_path / "part.py")
    assert card.attributes["reads"] == {"norms"}
    assert card.attributes["asymmetric"] is True
    assert card.attributes["names"] == ("a", "b")
    assert card.attributes["permutes"] is True  # from Balancer itself
    assert not {"forks", "degree", "family"} & set(card.attributes)
    assert card.defines == {"after", "degree", "helps"}
    assert card.splits == {"holdout"}
    assert card.summary == "A part: it does something."
    assert card.description == ["A list of things:", "* one that is long;", "* two."]
    assert card.flaws == "none of note."
    assert len(card.sources) == 2
    assert Card.read("part", tmp_path / "part.py", "Other").attributes["family"] == "other"
    assert report.needs(card) == "norms, held-out batch, a second look"


def test_a_plugin_that_is_not_python_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_python.py").write_text("class (", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[type] = Registry("method", "auxbench.methods")
    point = EntryPoint("odd", "no_python:Part", "auxbench.methods")
    registry._plugins = {"odd": point}
    assert registry.card("odd").problem.startswith("not usable: ")


@pytest.mark.parametrize("name", METHODS.names())
def test_options_with_numbers_start_inside_their_range(name: str) -> None:
    for option in options_of(METHODS[name]).values():
        assert (option.bounds is None) != (option.kind in {"number", "whole number"}), option.name
        if option.bounds is not None and option.default is not None:
            assert isinstance(option.default, int | float)
            assert option.default in option.bounds


NORMED = [n for n in BALANCERS if "norm" in options_of(METHODS[n])]


def test_every_gradient_method_has_a_norm() -> None:
    assert {n for n, rule in RULES.items() if rule.family == "gradient"} <= set(NORMED)
    assert {"gcs", "metabalance"} <= set(NORMED)


@pytest.mark.parametrize("name", NORMED)
def test_norm_sum_is_as_long_as_the_plain_sum_in_the_rules_direction(name: str) -> None:
    names = [f"task{i}" for i in range(3)]
    make: Callable[..., Any] = METHODS[name]
    native, normed = (make(names, torch.Generator().manual_seed(3), norm=n) for n in NORMS)
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(3, 20, generator=generator, dtype=torch.float64)
        losses = [0.5, 2.0, 1.0 + seed]
        own, long = (combined(balancer, losses, rows) for balancer in (native, normed))
        assert long.norm().item() == pytest.approx(rows.sum(dim=0).norm().item(), rel=1e-6)
        torch.testing.assert_close(long / long.norm(), own / own.norm(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NORMED)
@pytest.mark.parametrize("rows", ["zero", "opposed", "one"])
def test_norm_sum_divides_by_no_zero(name: str, rows: str) -> None:
    given = {
        "zero": torch.zeros(3, 4, dtype=torch.float64),
        "opposed": torch.tensor([[1.0], [-1.0], [0.0]], dtype=torch.float64),
        "one": torch.ones(1, 4, dtype=torch.float64),
    }[rows]
    names = [f"task{i}" for i in range(len(given))]
    make: Callable[..., Any] = METHODS[name]
    found = combined(make(names, torch.Generator(), norm="sum"), [1.0] * len(given), given)
    assert found.isfinite().all()
    if rows == "one":
        assert torch.equal(found, given[0])


NORMS = ("native", "sum")


def combined(balancer: Balancer, losses: list[float], rows: torch.Tensor) -> torch.Tensor:
    weighed = rows * balancer.weights(Signals.of(losses, rows))[:, None]
    edited = balancer.edit([(row,) for row in weighed])
    return torch.stack([row[0] for row in edited if row[0] is not None]).sum(dim=0)
