"""Resend: the mail provider."""
