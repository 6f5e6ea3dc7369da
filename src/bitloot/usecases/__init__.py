"""Verbs: each reads, asks a rule, records the decision."""
