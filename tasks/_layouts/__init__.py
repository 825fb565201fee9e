"""Layouts: the forms in which users store NYU v2, Cityscapes and Taskonomy on disk."""
