"""Figures for papers: those of the page, drawn by matplotlib at the width of a column or a page.

`content` takes the numbers from the functions that fill the page, one file a figure draws them, and
`gallery` says which figures there are and writes them. Lengths are points, 1/72 of an inch.
"""
