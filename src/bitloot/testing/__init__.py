"""Contract suites, builders and a test clock for the authors of adapters."""
