"""Passwords by argon2id, in threads."""
