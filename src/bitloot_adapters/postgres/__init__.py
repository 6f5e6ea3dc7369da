"""The shop's database: PostgreSQL 15 or newer through one psycopg pool."""
