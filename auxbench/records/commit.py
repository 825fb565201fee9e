"""The commit of the code that runs, for records and for `auxbench --version`."""

from __future__ import annotations

from pathlib import Path

from auxbench.data.machine import output

CODE = ("auxbench", "methods", "tasks", "pyproject.toml")
ROOT = Path(__file__).resolve().parents[2]


def commit_of(root: Path = ROOT) -> tuple[str | None, bool | None]:
    """The commit of the code below `root`, and whether the code differs from it.

    A checkout knows both, and a wheel that was made of one remembers them; otherwise both are None.
    """
    if (root / "pyproject.toml").exists() and (root / ".git").exists():
        git = ["git", "-C", str(root)]
        head = output([*git, "rev-parse", "--verify", "HEAD"])
        changes = output([*git, "status", "--porcelain", "--", *CODE])
        return (None, None) if head is None or changes is None else (head.strip(), bool(changes))
    try:
        noted = (root / "auxbench" / "COMMIT").read_text(encoding="utf-8").strip()
    except OSError:
        return None, None
    return noted.rstrip("+"), noted.endswith("+")


def in_words() -> str:
    """The commit in a few words, empty if it is not known."""
    known, changed = commit_of()
    return f"commit {known[:10]}{', changed' if changed else ''}" if known else ""
