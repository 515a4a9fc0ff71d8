"""The version of both schemas that this program was made for."""

# Raised with every change of what `tixxety migrate` makes.
SCHEMA_VERSION = 1
