"""Layouts: the forms in which NYU v2, Cityscapes and Taskonomy lie on a disk."""
