"""The least that does the same: bare routes with one statement each, and bare queue loops."""
