"""Execution: single runs, studies of many runs on this machine, and plans of what would run."""
