"""Cloudflare R2, or any other S3-compatible store, for ciphertext."""
