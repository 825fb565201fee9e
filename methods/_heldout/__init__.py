"""Rules that learn on held-out data."""
