"""One file per method; the file's name is the registered name, and _names are helpers."""

if __name__ != "auxbench.methods":
    raise ImportError(
        f"import auxbench.methods, not {__name__}: under two names every part would register twice."
    )
