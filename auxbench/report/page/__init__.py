"""The report as one page: its data, its conclusions in words, and the file that holds them all.

The numbers are those of boards and comparisons. The scripts beside this file only draw them.
"""
