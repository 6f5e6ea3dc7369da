"""Cloudflare Turnstile."""
