"""The read views of the memory store."""
