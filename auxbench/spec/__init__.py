"""The user's request as text: the grammar, the registries, budgets, methods, runs and studies.

Everything here is immutable text and numbers; the objects that they describe are built elsewhere.
Nothing here imports torch.
"""
