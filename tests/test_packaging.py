"""The wheel holds the whole project, and works where nothing else of the project is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("auxbench", "methods", "tasks", "pyproject.toml", "README.md", "LICENSE"):
        # A copy, so that the build leaves nothing behind in the checkout.
        subprocess.run(["cp", "-r", str(ROOT / name), str(source / name)], check=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True)
    (built,) = folder.glob("auxbench-*.whl")
    return built


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
