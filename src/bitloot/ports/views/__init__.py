"""Reads that skip the model: what pages and endpoints show, one round trip each."""
