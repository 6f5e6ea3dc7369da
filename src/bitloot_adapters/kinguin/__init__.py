"""Kinguin: a supplier of keys, over its eCommerce API (ESA)."""
