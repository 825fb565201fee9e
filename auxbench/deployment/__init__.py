"""Takes the deployed network of a run out of auxbench, into files that other programs read.

`deploy` rebuilds the network, writes it in three formats and checks each on the test split.
"""
