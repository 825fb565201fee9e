"""The wheel holds the whole project, and works where nothing else of the project is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from auxbench import __version__

ROOT = Path(__file__).parents[1]
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("auxbench", "methods", "tasks", *FILES):
        # A copy, so that the build leaves nothing behind in the checkout.
        subprocess.run(["cp", "-r", str(ROOT / name), str(source / name)], check=True)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost", "-C", str(source)]
    (source / ".gitignore").write_text("build/\n*.egg-info/\n__pycache__/\n")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    return source


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    return built(checkout)


def built(source: Path) -> Path:
    """The wheel of a folder, in the folder beside it."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(source.parent), str(source)], check=True)
    (found,) = source.parent.glob("auxbench-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(installed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # Without `site` no .pth file is read, so an editable install of the checkout is out of sight
    # and only the dependencies are shared.
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return subprocess.run(
        [sys.executable, "-S", *command],
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *sorted(libraries)])},
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_wheel_installs_one_package_with_everything_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"auxbench"}
    for folder, inside in (("auxbench", ""), ("methods", "methods/"), ("tasks", "tasks/")):
        for path in (ROOT / folder).rglob("*.py"):
            assert f"auxbench/{inside}{path.relative_to(ROOT / folder)}" in names
    assert "auxbench/py.typed" in names
    for path in (ROOT / "auxbench" / "report" / "page").iterdir():
        assert path.is_dir() or f"auxbench/report/page/{path.name}" in names


def test_the_installed_package_finds_its_parts_and_trains(installed: Path) -> None:
    code = (
        "import auxbench, pathlib; from auxbench import DATASETS, METHODS; "
        "from auxbench.execution.execute import begin; "
        "from auxbench.execution.study import Study; "
        "assert 'auxbench.methods.pcgrad' == METHODS['pcgrad'].__module__; "
        "study = Study.of('auxnas+pcgrad', 'rooms', backbone='test_resnet', steps=1, batch=2, "
        "side=32); "
        "begin(study.runs[0], dataset=DATASETS['rooms'].tiny()).run(); "
        "print(pathlib.Path(auxbench.__file__).parent)"
    )
    assert Path(run(installed, "-c", code).stdout.strip()) == installed / "auxbench"


def test_the_installed_command_answers(installed: Path) -> None:
    assert "pcgrad" in run(installed, "-m", "auxbench", "list", "methods").stdout


def test_the_installed_command_knows_the_commit(checkout: Path, installed: Path) -> None:
    words = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    head = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    said = run(installed, "-m", "auxbench", "--version").stdout
    assert said == f"auxbench {__version__} (commit {head[:10]})\n"


@pytest.mark.slow
def test_a_source_distribution_has_what_the_wheel_needs(
    checkout: Path, wheel: Path, tmp_path: Path
) -> None:
    code = f"from setuptools import build_meta; print(build_meta.build_sdist({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True, capture_output=True)
    (archive,) = tmp_path.glob("auxbench-*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(built(source)) as second:
        assert set(first.namelist()) == set(second.namelist())
        assert first.read("auxbench/COMMIT") == second.read("auxbench/COMMIT")
