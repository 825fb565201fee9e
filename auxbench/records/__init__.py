"""Records of finished runs: their layout, the store on disk, and the provenance of results.

Nothing here imports torch.
"""
