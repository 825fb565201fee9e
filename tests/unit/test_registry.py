"""Registries know names without importing, and survive broken plugins."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from auxbench.errors import UsageError
from auxbench.spec.registry import METHODS, Registry


def test_names_and_cards_import_no_torch() -> None:
    code = (
        "import sys; from auxbench.spec.registry import METHODS; "
        "print([METHODS.describe(name).summary for name in METHODS.names()]); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PCGrad: a gradient that conflicts" in done.stdout


def test_every_part_enters_under_its_files_name() -> None:
    for name in METHODS.names():
        assert METHODS[name].__module__ == f"auxbench.methods.{name.replace('-', '_')}"


def test_unknown_names_come_with_the_likely_one() -> None:
    with pytest.raises(UsageError, match=r"no method is called 'pc_grad'; did you mean 'pcgrad'\?"):
        METHODS["pc_grad"]


def test_a_broken_plugin_says_why_and_breaks_nothing_else() -> None:
    registry: Registry[type] = Registry("method", "auxbench.methods")
    point = EntryPoint("broken", "no_such_package.part:Part", "auxbench.methods")
    registry._plugins = {"broken": point}  # type: ignore[misc]
    assert {"broken", "pcgrad"} <= set(registry.names())
    assert registry.describe("broken").problem.startswith("not usable: ")
    with pytest.raises(UsageError, match="method 'broken' of another package is not usable"):
        registry["broken"]


def test_parts_cannot_be_imported_under_a_second_name() -> None:
    code = "import methods"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "import auxbench.methods, not methods" in done.stderr
