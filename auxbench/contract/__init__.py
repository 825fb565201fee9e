"""What every part has to hold to, as checks that say in words what does not.

`auxbench check` and the tests run the same functions.
"""
