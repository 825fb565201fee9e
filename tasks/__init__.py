"""One file per data set; its name is the registered name, names with a leading _ are helpers."""

if __name__ != "auxbench.tasks":
    raise ImportError(
        f"import auxbench.tasks, not {__name__}: under two names every part would register twice."
    )
