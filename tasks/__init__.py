"""One file per data set; the file's name is the registered name, and _names are helpers."""

if __name__ != "auxbench.tasks":
    raise ImportError(
        f"import auxbench.tasks, not {__name__}: under two names every part would register twice."
    )
