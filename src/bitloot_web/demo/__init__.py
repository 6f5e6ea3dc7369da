"""The whole shop on one machine: embedded services, stand-in providers, one walked purchase."""
