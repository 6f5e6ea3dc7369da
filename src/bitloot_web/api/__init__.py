"""The public HTTP API: one resource a file."""
