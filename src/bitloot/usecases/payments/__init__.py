"""Payments: opening them, taking in what the gateway says, applying it, and deciding by hand."""
