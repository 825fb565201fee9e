"""One file per method, which is registered under the name of the file; _names are helpers."""

if __name__ != "auxbench.methods":
    raise ImportError(
        f"import auxbench.methods, not {__name__}: under two names every part would register twice."
    )
