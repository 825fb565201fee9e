"""The catalogue says what was measured; descriptions are read from files without running them."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from auxbench import DATASETS, METHODS
from auxbench.contract.catalogue import measure
from auxbench.report.catalogue import FILE, Entry, entries, save
from auxbench.spec.description import Description
from auxbench.spec.grammar import options_of
from auxbench.spec.registry import Registry
from tests.contract._parts import ARCHITECTURES, BALANCERS

REASON = "run python -m auxbench.contract.catalogue"
QUICK = ["uw", "pcgrad", "olaux", "gradnorm", "famo", "arml", "noise-aux", "auxnas", "crossstitch"]


def test_every_registered_method_is_in_the_catalogue() -> None:
    assert set(entries()) == set(METHODS.names()), REASON


@pytest.mark.parametrize("name", QUICK)
def test_the_catalogue_says_what_is_measured_now(name: str) -> None:
    assert measure(name) == entries()[name], REASON


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METHODS.names() if name not in QUICK])
def test_the_rest_of_the_catalogue_does_too(name: str) -> None:
    assert measure(name) == entries()[name], REASON


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    save(entries(), tmp_path / "catalogue.json")
    assert (tmp_path / "catalogue.json").read_bytes() == FILE.read_bytes()


def test_a_step_costs_what_the_literature_says() -> None:
    """Gramian rules take T backward passes, loss weighting takes one, and so on."""

    def backward(name: str) -> list[float]:
        return [passes["backward"] for passes in entries()[name].passes]

    assert backward("hps") == backward("uw") == [1, 1, 1]
    assert backward("pcgrad") == [2, 3, 5]
    assert backward("gcs") == [2, 3, 2]  # from four tasks on by a forward-mode product
    assert backward("arml") == [1.05, 1.1, 1.2]
    assert [passes["partial"] for passes in entries()["gradnorm"].passes] == [2, 3, 5]
    assert [passes["forward"] for passes in entries()["famo"].passes] == [2, 2, 2]
    assert [passes["forward"] for passes in entries()["auxnas"].passes] == [2, 2, 2]


def test_what_is_deployed() -> None:
    others = {name for name in ARCHITECTURES if not entries()[name].deploys_single}
    assert others == {"crossstitch", "mtan", "nddr"}


def test_the_rules_that_see_which_task_is_first_are_known() -> None:
    found = {name for name in BALANCERS if entries()[name].primary_differs}
    by_weights = {"arml", "gcs", "metabalance", "olaux", "pripcgrad"}
    by_held_out_loss = {"autolambda", "auxilearn", "auxilearn-nonlinear", "auxinash", "slgrad"}
    assert found == {*by_weights, *by_held_out_loss, "forkmerge", "oracle-subset", "noise-aux"}


def test_the_rules_that_see_the_order_of_the_auxiliaries_are_random_ones() -> None:
    found = {name for name in METHODS.names() if entries()[name].order_matters}
    assert found == {"pcgrad", "gradvac", "rlw"}


def test_a_part_of_a_strangers_is_measured_as_well(tmp_path: Path) -> None:
    source = (
        '"""Half: auxiliary losses count half."""\n'
        "import torch\n"
        "from auxbench import METHODS, Balancer\n"
        "@METHODS.register\n"
        "class Half(Balancer):\n"
        "    family = 'auxiliary'\n"
        "    def weights(self, signals):\n"
        "        weights = torch.full((len(self.tasks),), 0.5, dtype=torch.float64)\n"
        "        weights[0] = 1.0 + 0 * signals.gramian[0, 0]\n"
        "        return weights\n"
    )
    (tmp_path / "half_of_it.py").write_text(source, encoding="utf-8")
    name = METHODS.add(tmp_path / "half_of_it.py")
    try:
        entry = measure(name)
    finally:  # other tests look at all that is registered
        METHODS.remove(name)
    assert entry.needs == ["Gramian"]
    assert entry.primary_differs
    assert not entry.order_matters
    assert [passes["backward"] for passes in entry.passes] == [2, 3, 5]


MODULE = '''"""A part: it does something.

A list of things:
* one that is
  long;
* two.

Known flaws: none of note.

@misc{a2020,
  title = {One},
}

@misc{b2021,
  title = {Other},
}
"""

class Helper:
    family = "no part"

@METHODS.register
class Part(Helper):
    licence = "MIT"
    extra: str = "more"
    computed = compute()
    def after(self): ...
'''


def test_a_description_is_read_without_running_the_file(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text(MODULE, encoding="utf-8")
    about = Description.read("part", tmp_path / "part.py")
    assert about.attributes == {"licence": "MIT", "extra": "more"}
    assert about.summary == "A part: it does something."
    assert about.description == ["A list of things:", "* one that is long;", "* two."]
    assert about.flaws == "none of note."
    assert [entry.partition(",")[0] for entry in about.bibtex] == ["@misc{a2020", "@misc{b2021"]


@pytest.mark.parametrize("name", DATASETS.names())
def test_the_description_of_a_data_set_says_what_the_class_does(name: str) -> None:
    about, maker = DATASETS.describe(name), DATASETS[name]
    for key in ("licence", "primary", "auxiliaries"):
        assert about.attributes[key] == getattr(maker, key)


def test_a_plugin_that_is_not_python_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_python.py").write_text("class (", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[type] = Registry("method", "auxbench.methods")
    point = EntryPoint("odd", "no_python:Part", "auxbench.methods")
    registry._plugins = {"odd": point}
    assert registry.describe("odd").problem.startswith("not usable: ")


@pytest.mark.parametrize("name", METHODS.names())
def test_options_with_numbers_start_inside_their_range(name: str) -> None:
    for option in options_of(METHODS[name]).values():
        assert (option.bounds is None) != (option.kind in {"number", "whole number"}), option.name
        if option.bounds is not None and option.default is not None:
            assert isinstance(option.default, int | float)
            assert option.default in option.bounds


def test_an_entry_needs_every_field() -> None:
    with pytest.raises(TypeError):
        Entry(role="balancer")  # type: ignore[call-arg]
