"""The commit of the code, written into wheels and source distributions that are made of a checkout.

Everything else about the package is in pyproject.toml.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT, NAME = Path(__file__).resolve().parent, "auxbench/COMMIT"


def write(folder: str) -> None:
    """Write the commit below a folder, if this is a checkout; a source distribution has it."""
    if not (ROOT / ".git").exists():
        return
    git = [
        "git",
        "-C",
        str(ROOT),
        "describe",
        "--always",
        "--abbrev=40",
        "--exclude=*",
        "--dirty=+",
    ]
    try:
        found = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return
    Path(folder, NAME).write_text(found, encoding="utf-8")


class Build(build_py):
    """Copies the modules, and notes the commit beside them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            write(self.build_lib)


class Source(sdist):
    """Collects the sources, and notes the commit among them."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        write(base_dir)


setup(cmdclass={"build_py": Build, "sdist": Source})
