"""Linked branches: the family of Aux-G and Aux-NAS."""
