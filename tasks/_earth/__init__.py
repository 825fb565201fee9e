"""The maps of the Earth behind `earth`: read from their packages, decoded, cut into blocks."""
