"""The command line: words in, tables out; what they mean is decided elsewhere."""

from auxbench.cli.main import main

__all__ = ["main"]
