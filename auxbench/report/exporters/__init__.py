"""Exporters: finished runs as other tools keep them, each written by that tool's own library.

Each file beside `run` has one function, `export`, and imports its library when it is called.
"""

LIBRARIES = ("tensorboard", "wandb", "mlflow")
