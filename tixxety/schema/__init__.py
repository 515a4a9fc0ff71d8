"""The database's schema as an operator makes it: migration, roles, rights and guards."""
