"""Tillgate, an invented payment gateway, as a payment gateway of a BitLoot shop."""
