"""The contract of every part, as checks that say in words what violates it.

`auxbench check` and the tests run the same functions.
"""
