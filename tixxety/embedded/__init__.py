"""The embedded PostgreSQL: its programs, its data, its logins, and the home that it lives in."""
