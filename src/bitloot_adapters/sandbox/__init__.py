"""Wire-faithful stand-ins for the providers, each a server of its own."""
