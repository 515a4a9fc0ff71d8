"""The HTTP API: routes, schemas, authentication, and problem documents."""
