"""The edge of the shop: HTTP, workers, command line and the one place where ports meet adapters."""
