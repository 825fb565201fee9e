"""Data sets on the disk: layouts of their authors, the prepared form, archives, the cache folder.

Nothing but `samples` imports torch.
"""
