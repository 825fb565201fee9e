"""The user's request in words: the grammar, the registries, budgets, methods, runs and studies.

Everything here is text and numbers, frozen and hashed; what it stands for is made elsewhere.
Nothing here imports torch.
"""
