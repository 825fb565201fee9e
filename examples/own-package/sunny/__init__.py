"""Parts for auxbench that are found by their entry points; nothing is registered by hand."""
