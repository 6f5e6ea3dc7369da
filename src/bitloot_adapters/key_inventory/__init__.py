"""The shop's own keys, behind the same port as every supplier."""
