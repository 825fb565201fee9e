"""The command line: parses options and prints tables; the logic lies in other packages."""

from auxbench.cli.main import main

__all__ = ["main"]
