"""Runs that have ended: the record, the store on disk, machine, code and data.

Nothing here imports torch.
"""
