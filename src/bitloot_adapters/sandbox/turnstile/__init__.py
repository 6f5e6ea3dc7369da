"""A wire-faithful, stateful stand-in for the server side of Cloudflare Turnstile."""
