"""The audit over HTTP: domain events, past moments, stories and seals, each reading on record."""
