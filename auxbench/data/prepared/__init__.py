"""Data sets on disk: their authors' layouts, the prepared form, archives, the cache folder.

Only `dataset`, `decode` and `samples` need torch.
"""
