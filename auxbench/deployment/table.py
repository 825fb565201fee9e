"""The table of a deployed network: its files, and what they were checked against."""

from __future__ import annotations

from auxbench.deployment.deploy import Deployed
from auxbench.report.tables import Column, Table

__all__ = ["table"]


def table(deployed: Deployed) -> Table:
    """One row per file, with the test score that it gives where it predicts."""
    test = deployed.manifest["test"]
    title = " ".join(word for word in (test["metric"], test["unit"]) if word)
    columns = (
        Column("file", "file"),
        Column("bytes", "bytes", si=True),
        Column("score", f"test {title}", 4),
        Column("difference", "largest difference"),
        Column("sha256", "sha256", shown=False),
    )
    rows = [
        {
            "file": name,
            **about,
            "score": test["scored"].get(name),
            "difference": _written(test["largest_difference"].get(name)),
        }
        for name, about in deployed.manifest["files"].items()
    ]
    recorded = "no value" if test["recorded"] is None else f"{test['recorded']:.4f}"
    told = (
        f"Recorded: {recorded}. Scores are within {test['tolerance']['score']:g} of it, and "
        f"predictions within {test['tolerance']['prediction']:g} of the largest, "
        f"{test['largest_prediction']:.3g}, on {test['samples']} test samples.",
    )
    return Table(f"Written to {deployed.folder}", columns, rows, (*told, *deployed.notes))


def _written(difference: float | None) -> str | None:
    return None if difference is None else f"{difference:.1g}"
