"""The read views on PostgreSQL: one statement a question, on autocommit connections."""
