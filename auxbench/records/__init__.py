"""What is known of runs that ended: the record, the store on disk, machine, code and data.

Nothing here imports torch.
"""
