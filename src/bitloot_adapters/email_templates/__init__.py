"""E-mails: facts of the domain in, subject, HTML and plain text out."""

from bitloot_adapters.email_templates.render import load_email_templates

__all__ = ["load_email_templates"]
