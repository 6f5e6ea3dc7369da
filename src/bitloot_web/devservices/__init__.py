"""PostgreSQL and Valkey started without Docker, without root and without system packages.

For ``bitloot demo`` and the test run only: production is given the addresses of servers that
somebody else runs. Everything here is synchronous; nothing starts at import.
"""

from bitloot_web.devservices.databases import Databases
from bitloot_web.devservices.faults import DevServiceError
from bitloot_web.devservices.postgres import PostgresServer, start_postgres
from bitloot_web.devservices.valkey import ValkeyServer, ValkeyStore, start_valkey

__all__ = [
    "Databases",
    "DevServiceError",
    "PostgresServer",
    "ValkeyServer",
    "ValkeyStore",
    "start_postgres",
    "start_valkey",
]
