"""A package of one's own, really installed by pip: a method, a data set and a backbone by name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from auxbench.records.store import Store
from tests.unit._commands import ROOT, Said, said

PACKAGE = ROOT / "examples" / "own-package"
PAGE = (ROOT / "docs" / "own-parts.md").read_text(encoding="utf-8")
JSON = ("--format", "json")
pytestmark = pytest.mark.slow  # pip takes its time

NAMES = {"methods": "sunny-rule", "datasets": "sunny-data", "backbones": "sunny-net"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip has installed the package into, without a network."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    shutil.copytree(PACKAGE, source)
    words = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *words, str(folder / "site"), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def told(installed: Path) -> list[Said]:
    study = ["--methods", "single,auxnas+sunny-rule", "--dataset", "sunny-data"]
    study += ["--backbone", "sunny-net:width=8", "--steps", "2", "--seeds", "1", "--results", "r"]
    return said(
        installed,
        [
            *(["list", kind, *JSON] for kind in NAMES),
            *(["check", name, *JSON] for name in NAMES.values()),
            ["show", "backbone", "sunny-net", *JSON],
            ["run", *study],
        ],
        {"PYTHONPATH": str(installed / "site"), "AUXBENCH_CACHE": str(installed / "cache")},
    )


def test_its_parts_are_listed(told: list[Said]) -> None:
    for name, ended in zip(NAMES.values(), told[:3], strict=True):
        rows = {row["name"]: row for row in json.loads(ended.out)}
        assert name in rows, ended.err


def test_they_hold_their_contracts(told: list[Said]) -> None:
    for ended in told[3:6]:
        assert [row for row in json.loads(ended.out) if row["ok"] is False] == []
        assert ended.code == 0


def test_they_run_and_records_know_the_version(told: list[Said], installed: Path) -> None:
    shown, ran = told[6:]
    assert shown.code == 0
    assert "2 done" in ran.out, ran.err
    (linked,) = (r for r in Store(installed / "r").runs() if r["run"]["method"] != "single")
    code = linked["provenance"]["code"]
    for kind, name in NAMES.items():
        known = code[kind][name]
        assert (known["package"], known["version"]) == ("sunny-parts", "1.0")


def test_the_page_shows_the_entry_points_of_the_package() -> None:
    shown = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    written = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))
    assert tomllib.loads(shown[1])["project"]["entry-points"] == written["project"]["entry-points"]


def commands() -> list[list[str]]:
    """Every command in the shell blocks of the page."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith("auxbench ") for line in lines)
    return [line.split()[1:] for line in lines]


def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    short = ("--steps", "2", "--seeds", "2", "--jobs", "1")
    words = [[*c, *(short if c[0] in ("run", "plan") else ())] for c in commands()]
    for typed, ended in zip(words, said(tmp_path, words), strict=True):
        assert ended.code == 0, (typed, ended.out, ended.err)


def test_the_network_of_hugging_face_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    from auxbench.networks.backbone import build
    from auxbench.spec.files import named
    from auxbench.spec.registry import BACKBONES

    code = PAGE.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "hf_vit.py").write_text(code, encoding="utf-8")
    name = named(str(tmp_path / "hf_vit.py"), BACKBONES)
    try:
        assert build(name, 64).stages == (1, 1, 1, 1)
    finally:
        BACKBONES.remove(name)
