"""The environment report: true of this machine, and nothing private in it."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch

import auxbench
from auxbench.execution import environment as environment_module
from auxbench.execution.environment import environment
from auxbench.records.commit import commit_of


def test_the_report_says_what_is_installed_and_running() -> None:
    report = environment("cpu")
    assert list(report) == [
        *("auxbench", "commit", "dirty", "python", "platform", "processor", "cores", "threads"),
        *("packages", "device", "device_name", "cuda", "load"),
    ]
    assert report["auxbench"] == auxbench.__version__
    assert report["python"] == platform.python_version()
    assert report["packages"]["numpy"] == numpy.__version__
    assert torch.__version__.startswith(report["packages"]["torch"])
    assert report["threads"] == torch.get_num_threads()
    assert 1 <= report["cores"] <= (os.cpu_count() or 1)
    assert (report["device"], report["cuda"]) == ("cpu", None)
    assert report["device_name"] == report["processor"] != ""
    assert report["load"] is None or len(report["load"]) == 3
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_host_is_not_named() -> None:
    host = socket.gethostname()
    assert host not in json.dumps(environment("cpu")) or host in platform.platform()


def test_a_gpu_is_named_with_its_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU of {device}")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    report = environment("cuda:1")
    assert (report["device"], report["device_name"]) == ("cuda", "GPU of cuda:1")
    assert report["cuda"] == "13.0"


def test_a_package_that_is_not_installed_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_module, "_PACKAGES", ("no-such-package",))
    assert environment("cpu")["packages"] == {"no-such-package": None}


def test_torch_is_imported_only_when_asked() -> None:
    program = "import sys, auxbench.execution.environment; print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, seen from inside a git hook of another one."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
        subprocess.run(["git", *identity, "-C", str(tmp_path), *arguments], check=True)

    try:
        git("init", "--quiet")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is not installed")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "sum.py").write_text("weights = 1\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    return tmp_path


def test_the_commit_is_recorded_and_changed_code_is_noticed(checkout: Path) -> None:
    commit, dirty = commit_of(checkout)
    assert commit is not None and len(commit) == 40
    assert dirty is False
    (checkout / "results").mkdir()
    (checkout / "results" / "records.jsonl").touch()
    assert commit_of(checkout) == (commit, False)  # results are no code
    (checkout / "methods" / "new.py").touch()
    assert commit_of(checkout) == (commit, True)
    (checkout / "methods" / "new.py").unlink()
    (checkout / "methods" / "sum.py").write_text("weights = 2\n")
    assert commit_of(checkout) == (commit, True)


def test_a_package_outside_a_checkout_has_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = checkout / "builder-packages"  # a virtual environment inside somebody's checkout
    inside.mkdir()
    assert commit_of(inside) == (None, None)
    monkeypatch.setenv("PATH", "")
    assert commit_of(checkout) == (None, None)


def test_a_package_made_of_a_checkout_knows_its_commit(tmp_path: Path) -> None:
    (tmp_path / "auxbench").mkdir()
    noted = tmp_path / "auxbench" / "COMMIT"
    noted.write_text("a" * 40 + "\n")
    assert commit_of(tmp_path) == ("a" * 40, False)
    noted.write_text("a" * 40 + "+\n")
    assert commit_of(tmp_path) == ("a" * 40, True)
