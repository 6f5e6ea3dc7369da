"""What the people behind the counter do over HTTP: one resource a file."""
