"""The page itself: one HTML file with its data, style and scripts, which loads nothing else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from auxbench.errors import visible
from auxbench.report.page.packed import embedded

HERE = Path(__file__).parent
SCRIPTS = (
    "data.js",
    "dom.js",
    "state.js",
    "board.js",
    "figures.js",
    "curves.js",
    "predictions.js",
    "costs.js",
    "drill.js",
    "page.js",
)


def page(document: dict[str, Any]) -> str:
    """The HTML of a document. A policy in the page forbids requests and all other scripts."""
    from jinja2 import Environment, StrictUndefined

    script = "\n".join((HERE / name).read_text("utf-8") for name in SCRIPTS)
    script = f'(() => {{\n"use strict";\n{script}\n}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return template.from_string((HERE / "page.html").read_text("utf-8")).render(
        title=visible(f"auxbench: {document['folder']}" if document["folder"] else "auxbench"),
        style=(HERE / "page.css").read_text("utf-8"),
        script=script,
        digest=digest,
        data=embedded(document),
    )
