"""The page that `auxbench report` writes about every folder of `results/`: a hook of mkdocs.

They lie below `boards/` on the site, and the table of folders leads to them. torch is not imported.
"""

from __future__ import annotations

import io
import re
from contextlib import chdir, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from auxbench.cli.main import auxbench

ROOT = Path(__file__).parents[1]
FIRST_CELL = re.compile(r"^\| `([\w-]+)/` \|", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of every folder."""
    for name in names():
        files.append(File.generated(config, f"boards/{name}.html", content=board(name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the table of folders lead to their pages."""
    if page.file.src_uri != "results.md":
        return markdown
    return FIRST_CELL.sub(r"| [`\1/`](boards/\1.html) |", markdown)


def names() -> list[str]:
    """The folders of `results/` whose records are published."""
    return sorted(path.parent.name for path in (ROOT / "results").glob("*/records.jsonl.gz"))


def board(name: str) -> str:
    """The page about a folder of `results/`."""
    with TemporaryDirectory() as folder, chdir(ROOT), redirect_stdout(io.StringIO()):
        out = Path(folder) / "report.html"
        words = ["report", "--results", f"results/{name}", "--out", str(out)]
        auxbench.main(words, standalone_mode=False)
        return out.read_text(encoding="utf-8")
