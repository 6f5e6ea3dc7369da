"""Seams: what the core asks of the world, as protocols and the data that crosses them."""
