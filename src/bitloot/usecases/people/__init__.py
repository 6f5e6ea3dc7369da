"""People: signing in, sessions, accounts and what may be changed about them, keys for machines."""
