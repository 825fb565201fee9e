"""A user's own data: arrays in memory, a folder with a table, objects of other libraries.

`words`, `table`, `digest` and `known` read a folder without torch. `labels` and `pictures` bring
what they hold to the form of batches, `dealing` splits it, and `array_dataset` is a data set of it.
"""
