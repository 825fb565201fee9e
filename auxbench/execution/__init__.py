"""Ways to carry out runs; each takes a study and fills a store."""
