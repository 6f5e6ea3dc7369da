"""The neighbours of the core: one folder per vendor or technology."""
