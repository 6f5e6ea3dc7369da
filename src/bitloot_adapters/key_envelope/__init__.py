"""Envelope encryption of keys, shared by every vault that stores ciphertext."""
