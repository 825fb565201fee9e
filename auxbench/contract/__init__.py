"""The contract of every part, as checks that name in words what breaks it.

`auxbench check` and the tests run the same functions.
"""
