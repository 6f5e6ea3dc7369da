"""Neighbours that need no service: a file vault, and an inbox in place of a mail provider."""
