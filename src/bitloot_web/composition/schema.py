"""The database's schema, for commands."""

from bitloot_adapters.postgres.migrate import current, head, upgrade

__all__ = ["current", "head", "upgrade"]
