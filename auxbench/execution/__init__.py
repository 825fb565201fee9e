"""Carrying out runs: one run, many runs on this machine, plans of what would run."""
