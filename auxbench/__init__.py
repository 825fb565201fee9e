"""auxbench: which auxiliary-learning methods really help, and at what cost.

`run` trains a matrix of methods and returns a DataFrame; everything else is reached through the
modules of the package, whose names are the nouns of the field.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "run"]

if TYPE_CHECKING:
    from auxbench.study import run

# In a wheel methods/ and tasks/ lie inside this folder; in a checkout they lie beside it.
if (_root := Path(__file__).resolve().parent.parent).joinpath("pyproject.toml").exists():
    __path__.append(str(_root))


def __getattr__(name: str) -> Any:
    """Import `run` when it is first asked for, so that `import auxbench` stays light."""
    if name == "run":
        from auxbench.study import run

        return run
    raise AttributeError(f"module 'auxbench' has no attribute {name!r}")
