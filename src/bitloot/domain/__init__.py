"""Nouns and rules: pure, synchronous, without clock, randomness or input and output."""
