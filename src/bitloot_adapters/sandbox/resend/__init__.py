"""A wire-faithful, stateful stand-in for the Resend e-mail API."""
